"""What a model can do, judged by its header and chat template. It does not know the engine."""

from hoshikage.errors import NotGguf
from hoshikage.models.gguf import Header

_PARTS = {"adapter": "a LoRA adapter", "mmproj": "a vision projector", "imatrix": "an importance matrix"}


def capabilities(header: Header, template: str | None = None, *, fills: bool = False) -> tuple[str, ...]:
    """In the order of Ollama's `/api/tags`. `template` replaces the one of the file; `fills` tells of its vocabulary
    that it has tokens to fill in the middle."""
    text = template or header.chat_template or ""
    found = ["embedding" if header.has_pooling else "completion"]
    if "tools" in text or "tool_call" in text or ".Tools" in text:
        found.append("tools")
    if fills:
        found.append("insert")
    if "<think>" in text and "</think>" in text:
        found.append("thinking")
    return tuple(found)


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
