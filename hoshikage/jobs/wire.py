"""Who says what to whom: the gateway one Order, the child a Line for each step. JSON, one value a line."""

from pathlib import Path

from msgspec import Struct, field

from hoshikage.errors import HoshikageError, PullError
from hoshikage.models.hubs.base import Progress
from hoshikage.models.recipe import Recipe
from hoshikage.models.truth import Files


class PullJob(Struct, frozen=True, tag="pull"):
    """Fetch a model; `insecure` allows plain HTTP."""

    name: str
    insecure: bool = False


class CreateJob(Struct, frozen=True, tag="create"):
    """Make a model."""

    recipe: Recipe


Job = PullJob | CreateJob


class Order(Struct, frozen=True):
    """A job, and the registry that it is for: the paths of `Files` in their order."""

    paths: tuple[str, str, str, str]
    job: Job

    @property
    def files(self) -> Files:
        return Files(*map(Path, self.paths))


def order(files: Files, job: Job) -> Order:
    return Order((str(files.model_map), str(files.tag_cache), str(files.tag_ollama), str(files.home)), job)


class Line(Struct, frozen=True, omit_defaults=True):
    """One step, or the error that ended the job: its code, and the data of its text."""

    step: Progress | None = None
    code: str = ""
    data: dict[str, object] = field(default_factory=dict)


def line_of(error: HoshikageError) -> Line:
    data: dict[str, object] = {
        name: value if isinstance(value, int | str) else str(value) for name, value in error.data.items()
    }
    return Line(code=error.code, data=data)


def error_of(line: Line) -> HoshikageError:
    """The error that the other process had."""
    kind = next((each for each in every(HoshikageError) if vars(each).get("code") == line.code), PullError)
    return kind(**line.data)


def every(kind: type[HoshikageError]) -> list[type[HoshikageError]]:
    """The class and all below it."""
    return [kind, *(below for each in kind.__subclasses__() for below in every(each))]
