"""Ollama's requests that change models as structs, and how one becomes a recipe."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from msgspec import Struct, field

from hoshikage.api.errors import OllamaFault, StreamFault
from hoshikage.api.ollama.decode import GoMap
from hoshikage.api.ollama.wire import Message
from hoshikage.conversation import Message as Turn
from hoshikage.errors import BadName, CloudDisabled, PullError
from hoshikage.models.blobs import place
from hoshikage.models.names import parse_exact
from hoshikage.models.recipe import Recipe
from hoshikage.models.truth import Files


class Named(Struct, kw_only=True):
    """`name` is what old clients send."""

    model: str = ""
    name: str = ""


class PullRequest(Named, kw_only=True):
    insecure: bool = False
    stream: bool = True


class PushRequest(Named, kw_only=True):
    insecure: bool = False
    stream: bool = True


class DeleteRequest(Named, kw_only=True):
    pass


class CopyRequest(Struct, kw_only=True):
    source: str = ""
    destination: str = ""


class CreateRequest(Named, kw_only=True):
    """`files`, `adapters` and `draft_files` map a file's name to its digest; the files were uploaded before."""

    from_: str = field(default="", name="from")
    remote_host: str = ""
    files: dict[str, str] | None = None
    adapters: dict[str, str] = field(default_factory=dict)
    draft_files: dict[str, str] = field(default_factory=dict)
    template: str = ""
    license: Any = None
    system: str = ""
    parameters: Annotated[dict[str, Any], GoMap] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    quantize: str = ""
    quantization: str = ""
    draft_quantize: str = ""
    stream: bool = True


def to_recipe(asked: CreateRequest, files: Files) -> Recipe:
    """Raises OllamaFault in the contract's words (§6.13)."""
    name = asked.model or asked.name
    if asked.draft_quantize:
        raise OllamaFault(400, "--draft-quantize requires a DRAFT model" if not asked.draft_files else DRAFT_QUANTIZE)
    check_name(name, OllamaFault)
    if asked.remote_host:
        raise CloudDisabled(what="remote model is unavailable")
    if not asked.from_ and not asked.files:
        nothing = "neither 'from' or 'files' was specified" if asked.files is None else "unknown type"
        raise StreamFault(400, nothing)
    if asked.from_:
        check_name(asked.from_.strip(), StreamFault)
    return Recipe(
        name=name,
        base=asked.from_,
        files=uploaded(asked.files or {}, files.home),
        adapters=uploaded(asked.adapters, files.home),
        draft=next(iter(uploaded(asked.draft_files, files.home)), ""),
        template=asked.template or None,
        system=asked.system or None,
        license=licenses(asked.license),
        parameters=with_stops(asked.parameters),
        messages=tuple(Turn(role=each.role.lower(), content=each.content) for each in asked.messages) or None,
        renderer=asked.renderer,
        parser=asked.parser,
        requires=asked.requires,
        quantize=asked.quantize or asked.quantization,
        ours=True,
    )


def check_name(name: str, fault: type[OllamaFault]) -> None:
    """Raises the fault."""
    try:
        parse_exact(name)
    except BadName as error:
        raise fault(400, "invalid model name") from error


DRAFT_QUANTIZE = "a draft model is not quantized here; quantize it as a model of its own, and name that file"


def uploaded(named: dict[str, str], home: Path) -> tuple[str, ...]:
    """The paths of the blobs. Raises OllamaFault."""
    return tuple(str(blob(name, digest, home)) for name, digest in named.items())


def blob(name: str, digest: str, home: Path) -> Path:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or "\\" in name:
        raise OllamaFault(400, "file path must be relative")
    try:
        path = place(home, digest.lower())
    except PullError as error:
        raise OllamaFault(400, "invalid digest format") from error
    if not path.is_file():
        raise StreamFault(400, f"{name} is not here: upload it first, by POST /api/blobs/{digest}")
    return path


def with_stops(given: dict[str, object]) -> dict[str, object]:
    """The parameters; of wrong types a chat tells, as in Ollama, except `stop`, which is kept by itself.

    Raises OllamaFault.
    """
    stop = given.get("stop")
    texts = [stop] if isinstance(stop, str) else stop
    if texts is not None and not (isinstance(texts, list) and all(isinstance(each, str) for each in texts)):
        raise OllamaFault(400, 'option "stop" must be of an array of strings')
    return given


def licenses(given: Any) -> tuple[str, ...]:  # noqa: ANN401 - a text or a list of them
    if given is None or given == "":
        return ()
    texts = given if isinstance(given, list) else [given]
    if not all(isinstance(each, str) for each in texts):
        raise OllamaFault(400, "license must be a string or a list of strings")
    return tuple(texts)
