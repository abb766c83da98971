"""The board with children that are not what they should be: small programs in their place."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from hoshikage.errors import HoshikageError, Overloaded, PullError, ServerStopping
from hoshikage.jobs import board
from hoshikage.jobs.board import AT_ONCE, WAITING, Board
from hoshikage.jobs.wire import PullJob
from hoshikage.models.hubs.base import Progress
from hoshikage.models.truth import Files

STEP = 'print(\'{"step":{"status":"%s"}}\', flush=True)\n'
TO_THE_END = "import sys; sys.stdin.read()\n"
FLOOD = "import sys\nwhile True: sys.stdout.write('x' * 65536)\n"
DEAF = STEP % "deaf" + "import time; time.sleep(600)\n"

Use = Callable[[Board], Awaitable[None]]


def attacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, use: Use) -> None:
    """Run `use` on a board whose children run `program`; none may be left."""
    monkeypatch.setattr(board, "COMMAND", (sys.executable, "-c", program))
    monkeypatch.setattr(board, "END_SECONDS", 0.5)

    async def run() -> None:
        made = Board(Files(tmp_path / "m", tmp_path / "c", tmp_path / "o", tmp_path))
        await use(made)
        await made.close()
        assert children() == []

    asyncio.run(run())


def children() -> list[psutil.Process]:
    """Those of the board, dead ones too; servers of other tests may be there beside them."""
    found = psutil.Process().children()
    return [each for each in found if each.status() == psutil.STATUS_ZOMBIE or "-c" in each.cmdline()]


async def steps(made: Board, name: str = "a") -> list[str]:
    async with aclosing(made.follow(PullJob(name))) as following:
        return [step.status async for step in following]


@pytest.mark.parametrize(
    "program",
    [
        "print('garbage')\n",
        "print('{}')\n",
        "print('[1]')\n",
        """print('{"code": "model_not_found"}')\n""",
        "import sys; sys.stdout.buffer.write(bytes([255, 10]))\n",
        "import os; os.kill(os.getpid(), 9)\n",
        "import os; os.close(0); os.close(1)\n",
        STEP % ("x" * (2 << 20)),
        FLOOD,
    ],
)
def test_a_child_that_speaks_no_sense_is_an_error(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def use(made: Board) -> None:
        with pytest.raises(PullError):
            await steps(made)

    attacked(monkeypatch, tmp_path, program, use)


def test_a_deaf_child_is_killed_when_the_last_one_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def use(made: Board) -> None:
        following = made.follow(PullJob("a"))
        assert (await anext(following)).status == "deaf"
        await following.aclose()
        assert children() == []

    attacked(monkeypatch, tmp_path, DEAF, use)


def test_a_close_waits_for_a_job_whose_leaver_was_in_a_hurry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def use(made: Board) -> None:
        following = made.follow(PullJob("a"))
        await anext(following)
        leaving = asyncio.ensure_future(following.aclose())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

    attacked(monkeypatch, tmp_path, DEAF, use)


def test_whoever_follows_a_job_is_told_that_the_server_stops(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def use(made: Board) -> None:
        following = made.follow(PullJob("a"))
        assert (await anext(following)).status == "on"
        await made.close()
        with pytest.raises(ServerStopping):
            await anext(following)

    attacked(monkeypatch, tmp_path, STEP % "on" + TO_THE_END, use)


def test_a_jobs_process_knows_no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOSHIKAGE_API_KEYS", "the-boss")
    monkeypatch.setenv("HF_TOKEN", "needed")

    async def use(made: Board) -> None:
        following = made.follow(PullJob("a"))
        assert (await anext(following)).status == "None needed"
        await following.aclose()

    told = "import os; x = f\"{os.environ.get('HOSHIKAGE_API_KEYS')} {os.environ['HF_TOKEN']}\"\n"
    attacked(monkeypatch, tmp_path, told + STEP.replace("%s", "' + x + '") % () + TO_THE_END, use)


def test_few_work_at_once_some_wait_in_order_and_one_too_many_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def use(made: Board) -> None:
        followed = [made.follow(PullJob(f"m{number}")) for number in range(AT_ONCE + WAITING)]
        first = [await anext(each) for each in followed]
        assert [step.status for step in first] == ["on"] * AT_ONCE + ["waiting for others to end"] * WAITING
        assert len(children()) == AT_ONCE
        with pytest.raises(Overloaded):
            await steps(made, "one-too-many")
        await followed[0].aclose()
        assert (await anext(followed[AT_ONCE])).status == "on"
        await asyncio.gather(*(each.aclose() for each in followed))

    attacked(monkeypatch, tmp_path, STEP % "on" + TO_THE_END, use)


def test_many_who_follow_and_leave_at_random_share_one_child_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def one(made: Board, turns: int) -> Progress | HoshikageError:
        following: AsyncGenerator[Progress, None] = made.follow(PullJob("a"))
        async with aclosing(following):
            step = await anext(following)
            for _ in range(turns):
                await asyncio.sleep(0)
            return step

    async def use(made: Board) -> None:
        found = await asyncio.gather(*(one(made, number * 7 % 100) for number in range(300)))
        assert {step.status for step in found if isinstance(step, Progress)} <= {"on", "waiting for others to end"}

    attacked(monkeypatch, tmp_path, STEP % "on" + TO_THE_END, use)
