"""What a model can do, judged by its header and chat template. It does not know the engine."""

from hoshikage.errors import NotGguf
from hoshikage.models.gguf import Header
from hoshikage.templates import abilities

ORDER = ("embedding", "completion", "tools", "insert", "thinking")
_PARTS = {"adapter": "a LoRA adapter", "mmproj": "a vision projector", "imatrix": "an importance matrix"}


def capabilities(header: Header, *, fills: bool = False) -> tuple[str, ...]:
    """What the file can do with its own template, in the order of Ollama's `/api/tags`; `fills` tells of its vocabulary
    that it has tokens to fill in the middle."""
    able = abilities.of_jinja(header.chat_template or "")
    found = {"embedding" if header.has_pooling else "completion", *able, *(["insert"] if fills else [])}
    return tuple(each for each in ORDER if each in found)


def with_template(found: tuple[str, ...], template: str | None) -> tuple[str, ...]:
    """The same with a Go template of the model's own."""
    own = {abilities.TOOLS, abilities.THINKING}
    able = {*found} - own | abilities.together(template, frozenset({*found} & own))
    return tuple(each for each in ORDER if each in able)


def check_model(header: Header, path: object) -> None:
    """A GGUF may hold something else than a model that can run. Raises NotGguf."""
    if not header.architecture:
        raise NotGguf(path=path, reason="it names no architecture")
    if (kind := kind_of(header)) in _PARTS:
        raise NotGguf(path=path, reason=f"it is {_PARTS[kind]}, not a model")


def check_part(header: Header, path: object, kind: str) -> None:
    """A file beside the weights must be what it is there for. Raises NotGguf."""
    if (found := kind_of(header)) != kind:
        raise NotGguf(path=path, reason=f"it is {_PARTS.get(found, 'a model')}, not {_PARTS.get(kind, 'a model')}")


def kind_of(header: Header) -> str:
    """What the file holds: model, adapter, mmproj or imatrix."""
    return header.text("general.type") or ("mmproj" if header.architecture == "clip" else "model")
