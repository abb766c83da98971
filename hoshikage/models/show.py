"""What `/api/show` and `hoshikage show` tell of a model: its entry and its file's header. Knows no HTTP."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from msgspec import UNSET, Struct, UnsetType

from hoshikage.models import go, headers
from hoshikage.models.entry import Entry
from hoshikage.models.gguf import Array, Header, Tensor, read_header
from hoshikage.models.modelfile import Modelfile, listed
from hoshikage.models.modelfile import shown as text_of
from hoshikage.models.tags import ModelDetails, details, local_time
from hoshikage.templates.abilities import of_jinja, together

NO_TEMPLATE = "{{ .Prompt }}"
EVERY_ELEMENT = 1 << 62
NATIVE_ORDER = ("tools", "thinking", "embedding", "completion", "vision", "insert")
GO_ORDER = ("embedding", "completion", "vision", "tools", "insert", "thinking")
LEFT_OUT = frozenset({"general.name", "tokenizer.chat_template"})


class TensorShown(Struct, frozen=True):
    name: str
    type: str
    shape: tuple[int, ...]


class Shown(Struct, frozen=True, kw_only=True):
    """The reply of `/api/show`, its keys in the contract's order; what is unset is left out."""

    license: str | UnsetType
    modelfile: str
    parameters: str | UnsetType
    template: str
    system: str | UnsetType
    details: ModelDetails
    messages: tuple[dict[str, str], ...] | UnsetType
    model_info: dict[str, object]
    projector_info: dict[str, object] | UnsetType
    tensors: tuple[TensorShown, ...] | UnsetType
    capabilities: tuple[str, ...] | UnsetType
    modified_at: str
    requires: str | UnsetType


def shown(
    entry: Entry,
    *,
    verbose: bool = False,
    system: str = "",
    options: Mapping[str, object] | None = None,
    go_template: bool = True,
) -> Shown:
    """What there is to tell. `verbose` adds the arrays of the headers.

    `system` replaces the model's own; `options` change the parameters of the `modelfile` only, as in Ollama.
    `go_template` is the setting of that name. Raises FileMissing or NotGguf.
    """
    stored = entry.stored
    headers = [header_of(path, verbose=verbose) for path in stored.weights]
    header, count = headers[0], sum(each.parameter_count for each in headers)
    projector = header_of(stored.projectors[0], verbose=verbose) if stored.projectors else None
    native = is_native(entry, header, go_template=go_template)
    made = modelfile(entry, system or entry.system, options or {})
    return Shown(
        license="\n".join(stored.license) or header.text("general.license") or UNSET,
        modelfile=text_of(made, entry.parsed.short),
        parameters=listed(parameters(entry)) or UNSET,
        template=(header.chat_template if native else entry.stored.template) or NO_TEMPLATE,
        system=made.system or UNSET,
        details=details(entry, lengths=False),
        messages=tuple({"role": each.role, "content": each.content} for each in stored.messages) or UNSET,
        model_info=info(header, count, verbose=verbose, left_out=LEFT_OUT),
        projector_info=info(projector, projector.parameter_count, verbose=verbose) if projector else UNSET,
        tensors=tuple(map(tensor, chain.from_iterable(each.tensors for each in headers))) or UNSET,
        capabilities=in_order(entry.capabilities, native=native) or UNSET,
        modified_at=local_time(entry.created),
        requires=stored.requires or UNSET,
    )


def header_of(path: str, *, verbose: bool) -> Header:
    return read_header(Path(path), EVERY_ELEMENT) if verbose else headers.header_of(Path(path))


def tensor(found: Tensor) -> TensorShown:
    return TensorShown(found.name, found.type_name, found.shape)


def is_native(entry: Entry, header: Header, *, go_template: bool) -> bool:
    """Whether the template of its file is used: where it has no other, that one counts not, or can do less."""
    own, of_file = entry.stored.template, header.chat_template
    if not of_file or not own:
        return bool(of_file)
    return not go_template or together(own, frozenset()) < of_jinja(of_file)


def in_order(capabilities: Iterable[str], *, native: bool) -> tuple[str, ...]:
    """As Ollama finds them, which is in another order than in `/api/tags`."""
    return tuple(sorted(capabilities, key=(NATIVE_ORDER if native else GO_ORDER).index))


def info(header: Header, count: int, *, verbose: bool, left_out: frozenset[str] = frozenset()) -> dict[str, object]:
    """The header's keys and the `count` of parameters, sorted; arrays with elements are null unless `verbose`."""
    kept = {key: value for key, value in header.metadata.items() if key not in left_out}
    kept["general.parameter_count"] = count
    return {key: None if hidden(value, verbose=verbose) else written(value) for key, value in sorted(kept.items())}


def written(value: object) -> object:
    """A value of the header as JSON has it."""
    if isinstance(value, list | tuple):
        return [written(each) for each in value]
    return go.json_number(value) if isinstance(value, float) else value


def hidden(value: object, *, verbose: bool) -> bool:
    return isinstance(value, Array) or (isinstance(value, list | tuple) and bool(value) and not verbose)


def parameters(entry: Entry) -> dict[str, object]:
    """The entry's, its stop strings first."""
    stop: dict[str, object] = {"stop": entry.stop} if entry.stop else {}
    return stop | entry.parameters


def modelfile(entry: Entry, system: str | None, options: Mapping[str, object]) -> Modelfile:
    """From which the same model can be made again where its files are.

    The file's own template is left out: it is Jinja, which TEMPLATE is not, and comes with the file.
    """
    stored = entry.stored
    return Modelfile(
        from_=(str(entry.file), *stored.projectors),
        adapters=stored.adapters,
        drafts=(stored.draft,) if stored.draft else (),
        template=entry.stored.template or None,
        system=system or None,
        renderer=stored.renderer or None,
        parser=stored.parser or None,
        requires=stored.requires or None,
        parameters={**parameters(entry), **options},
        licenses=stored.license,
        messages=stored.messages,
    )
