"""The progress of a pull on a terminal: a bar for each digest, its statuses as lines above. The owner of rich."""

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from hoshikage.cli.human import printable
from hoshikage.models.hubs.base import Progress as Step


class Bars(AbstractContextManager["Bars"]):
    """On stderr; what was drawn stays there when it is closed."""

    def __init__(self) -> None:
        what = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        count = Column(no_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=what),
            BarColumn(bar_width=20),
            DownloadColumn(table_column=count),
            TransferSpeedColumn(table_column=count),
            TimeRemainingColumn(compact=True, table_column=count),
            console=Console(file=sys.stderr),
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, step: Step) -> None:
        status = printable(step.status)
        if step.total is not None:
            self._advance(step.digest or status, status, step.completed or 0, step.total)
        elif status not in self._said:
            self._said.add(status)
            self._progress.console.print(Text(status))

    def _advance(self, key: str, status: str, completed: int, total: int) -> None:
        if key not in self._tasks:  # what was there before counts for no speed
            self._tasks[key] = self._progress.add_task(status, total=total, completed=completed)
        self._progress.update(self._tasks[key], description=status, total=total, completed=completed)
