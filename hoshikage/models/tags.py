"""The registry's projections: OpenAI's list and Ollama's /api/tags. Pure; key order is the contract's."""

import datetime
from collections.abc import Iterable

from msgspec import UNSET, Struct, UnsetType

from hoshikage.models.entry import Entry


class ModelDetails(Struct, frozen=True, kw_only=True):
    parent_model: str
    format: str
    family: str
    families: tuple[str, ...] | None
    parameter_size: str
    quantization_level: str
    context_length: int | UnsetType = UNSET
    embedding_length: int | UnsetType = UNSET


class TagModel(Struct, frozen=True, kw_only=True):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: ModelDetails
    capabilities: tuple[str, ...] | UnsetType = UNSET


class TagsReply(Struct, frozen=True):
    models: tuple[TagModel, ...]


class ModelCard(Struct, frozen=True, kw_only=True):
    id: str
    object: str
    created: int
    owned_by: str


class ModelList(Struct, frozen=True, kw_only=True):
    object: str
    data: tuple[ModelCard, ...]


def tags(entries: Iterable[Entry]) -> TagsReply:
    return TagsReply(tuple(tag(entry) for entry in latest_first(entries)))


def latest_first(entries: Iterable[Entry]) -> list[Entry]:
    """By whole seconds; those of the same second stay in their order."""
    return sorted(entries, key=lambda entry: int(entry.created), reverse=True)


def tag(entry: Entry) -> TagModel:
    name = entry.parsed.short
    return TagModel(
        name=name,
        model=name,
        modified_at=local_time(entry.created),
        size=entry.size,
        digest=entry.digest,
        details=details(entry, lengths=True),
        capabilities=entry.capabilities or UNSET,
    )


def details(entry: Entry, *, lengths: bool) -> ModelDetails:
    """`lengths` only in /api/tags."""
    facts = entry.stored.facts
    return ModelDetails(
        parent_model=entry.stored.parent,
        format="gguf",
        family=facts.family,
        families=(facts.family,) if facts.family else None,
        parameter_size=facts.parameter_size,
        quantization_level=facts.quantization_level,
        context_length=facts.context_length or UNSET if lengths else UNSET,
        embedding_length=facts.embedding_length or UNSET if lengths else UNSET,
    )


def cards(entries: Iterable[Entry]) -> ModelList:
    return ModelList(object="list", data=tuple(card(entry) for entry in entries))


def card(entry: Entry) -> ModelCard:
    return ModelCard(id=entry.name, object="model", created=int(entry.created), owned_by=entry.owner)


def local_time(unix_seconds: float) -> str:
    """RFC 3339 in the local zone, as Go prints it: a fraction without zeros at its end, and `Z` for no offset."""
    at = datetime.datetime.fromtimestamp(unix_seconds).astimezone()
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    zone = at.isoformat()[-len("+00:00") :] if at.utcoffset() else "Z"
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"
