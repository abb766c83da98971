"""A recipe -> a registered model, as progress: from another model or from files, quantized if asked for.

Files are registered where they lie; only a quantized model is written, into the folder of blobs. Knows no HTTP.
"""

import uuid
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import msgspec

from hoshikage.engine.quantize import number_of, quantize
from hoshikage.errors import CreateRefused, FileMissing, NotGguf, TemplateFailed
from hoshikage.models.capabilities import check_part, kind_of
from hoshikage.models.disposal import UPLOAD, sweep
from hoshikage.models.entry import Entry, Stored
from hoshikage.models.gguf import Header, read_header
from hoshikage.models.hubs.base import Fetched, Progress
from hoshikage.models.manifest import manifest
from hoshikage.models.names import parse
from hoshikage.models.pull import existing
from hoshikage.models.recipe import Recipe
from hoshikage.models.registry import Registry
from hoshikage.templates import go_chat

Steps = Generator[Progress, None, Entry]
Base = Generator[Progress, None, Stored]
Fetch = Callable[[str], Generator[Progress, None, Fetched]]
"""How a base that is not there is pulled."""

UNQUANTIZED = ("F16", "BF16", "F32")
PSEUDO_DIGEST = "0000000000000000000"
"""What Ollama names in the lines about work that has no digest yet."""
TOLD_BYTES = 256 << 20
"""Hashing a file of this size takes long enough to be told."""


def create(recipe: Recipe, registry: Registry, fetch: Fetch) -> Steps:
    """Make and register the model, in place of another of its name. Raises CreateRefused, ModelError or PullError."""
    parse(recipe.name)
    if recipe.template is not None:
        check_template(recipe.template)
    for path in recipe.adapters:
        check_adapter(path)
    if recipe.quantize:
        number_of(recipe.quantize)
    if not recipe.base and not recipe.files:
        raise CreateRefused(reason="neither 'from' or 'files' was specified")
    base = yield from from_base(recipe, registry, fetch) if recipe.base else from_files(recipe)
    if brought(base.path, registry):
        base = msgspec.structs.replace(base, fetched=True)
    if recipe.quantize:
        base = yield from quantized(base, recipe.quantize, registry)
    model = merged(base, recipe)
    yield from hashed(model, registry)
    before = existing(recipe.name, registry)
    entry = registry.register(recipe.name, model, replace=True)
    yield from layers(entry, base, registry)
    sweep(registry, before)
    yield Progress(status="writing manifest")
    yield Progress(status="success")
    return entry


def check_template(text: str) -> None:
    """Raises CreateRefused with the reason in Go's words; also for Jinja, whose blocks are plain text to Go."""
    if "{%" in text and "%}" in text:
        raise CreateRefused(reason="template error: this is Jinja; leave TEMPLATE out, and the file's own is used")
    try:
        go_chat.parse(text)
    except TemplateFailed as error:
        raise CreateRefused(reason=str(error)) from error


def check_adapter(path: str) -> None:
    """Raises CreateRefused."""
    header = header_of(path)
    try:
        check_part(header, path, "adapter")
    except NotGguf as error:
        raise CreateRefused(reason=str(error)) from error


def brought(path: str, registry: Registry) -> bool:
    """Whether another model's entry says that hoshikage put the file there, so that it goes with the last of them."""
    return any(each.stored.fetched and Path(path) in each.files for each in registry.entries())


def from_base(recipe: Recipe, registry: Registry, fetch: Fetch) -> Base:
    """What the base is made of; one that is not registered is pulled first."""
    entry = existing(recipe.base, registry)
    if entry is None:
        with closing(fetch(recipe.base)) as steps:
            for step in steps:
                if step.status != "success":
                    yield step
        entry = registry.find(recipe.base)
    return msgspec.structs.replace(entry.stored.described, parent=parse(entry.name).short)


def from_files(recipe: Recipe) -> Base:
    """What the files are, by their headers: the weights, a projector, an adapter."""
    parts: dict[str, list[str]] = {"model": [], "mmproj": [], "adapter": []}
    for path in recipe.files:
        yield Progress(status="parsing GGUF")
        header = header_of(path)
        if not header.integer("split.no"):  # a further shard is found by the first one's name
            parts.setdefault(kind_of(header), []).append(path)
    if len(parts["model"]) != 1:
        raise CreateRefused(reason=f"one GGUF file with the model's weights is needed, {len(parts['model'])} are given")
    if len(parts["adapter"]) > 1:
        raise CreateRefused(reason="only one adapter is currently supported")
    return Stored(
        path=parts["model"][0],
        projectors=tuple(parts["mmproj"]),
        adapters=tuple(parts["adapter"]),
        parent=Path(parts["model"][0]).name,
        origin="created",
        fetched=recipe.ours,
    )


def header_of(path: str) -> Header:
    """Raises CreateRefused in Ollama's words, and tells why."""
    try:
        return read_header(Path(path))
    except (NotGguf, FileMissing) as error:
        raise CreateRefused(reason=f"supplied file was not in GGUF format: {error}") from error


def quantized(base: Stored, kind: str, registry: Registry) -> Base:
    """The base with weights of another type, in the folder of blobs. Closing the generator ends the work."""
    source = Path(base.path)
    before = read_header(source).file_type
    if before not in UNQUANTIZED:
        raise CreateRefused(reason="quantization is only supported for F16, BF16 and F32 models")
    status = f"quantizing {before} model to {kind.upper()}"
    registry.files.blobs.mkdir(parents=True, exist_ok=True)
    # Named so that `prune` finds it, if this process is killed before it has its digest.
    target = registry.files.blobs / f"{UPLOAD}{uuid.uuid4().hex}"
    with closing(quantize(source, target, kind)) as steps:
        for done, total in steps:
            yield Progress(status=status, digest=PSEUDO_DIGEST, total=total, completed=done)
    try:
        yield Progress(status="verifying conversion")
        header_of(str(target))
        digest = yield from hashing(target, registry, f"{source.name} in {kind.upper()}")
        blob = target.rename(registry.files.blobs / f"sha256-{digest}")
    finally:
        target.unlink(missing_ok=True)
    return msgspec.structs.replace(base, path=str(blob), fetched=True)


def merged(base: Stored, recipe: Recipe) -> Stored:
    """Parameters are merged, licenses added; all else replaces what the base has, where it is given."""
    given = dict(recipe.parameters)
    stop = given.pop("stop", None)
    if len(recipe.adapters) > 1:
        raise CreateRefused(reason="only one adapter is currently supported")
    new: dict[str, object] = {
        "template": recipe.template,
        "system": recipe.system,
        "messages": recipe.messages,
        "stop": None if stop is None else tuple(stop if isinstance(stop, list | tuple) else [stop]),
        "adapters": recipe.adapters or None,
        "draft": recipe.draft or None,
        "renderer": recipe.renderer or None,
        "parser": recipe.parser or None,
        "requires": recipe.requires or None,
    }
    return msgspec.convert(
        msgspec.to_builtins(base)
        | {"parameters": {**base.parameters, **given}, "license": (*base.license, *recipe.license)}
        | {name: msgspec.to_builtins(value) for name, value in new.items() if value is not None},
        Stored,
    )


def hashed(model: Stored, registry: Registry) -> Generator[Progress, None, None]:
    """Hash what is large and not known yet, with progress; the rest is done while it is registered."""
    for path in map(Path, model.paths):
        if path.is_file() and path.stat().st_size >= TOLD_BYTES and registry.digests.known(path) is None:
            yield from hashing(path, registry)


def hashing(path: Path, registry: Registry, name: str = "") -> Generator[Progress, None, str]:
    """The file's sha256; `name` is what a person knows it by."""
    steps = registry.digests.steps(path)
    try:
        while True:
            done, total = next(steps)
            yield Progress(status=f"hashing {name or path.name}", digest=PSEUDO_DIGEST, total=total, completed=done)
    except StopIteration as end:
        return str(end.value)


def layers(entry: Entry, base: Stored, registry: Registry) -> Generator[Progress, None, None]:
    """A line for each layer: one that the base had is used, the others are new."""
    facts = entry.stored.facts
    old = manifest(msgspec.structs.replace(base, facts=facts), registry.digests.of) if base.parent else None
    had = {layer.digest for layer in old.layers} if old else set()
    for layer in manifest(entry.stored, registry.digests.of).layers:
        verb = "using existing" if layer.digest in had else "creating new"
        yield Progress(status=f"{verb} layer {layer.digest}")
