"""What a new model is made of, and the same from a Modelfile. Knows no registry and no HTTP."""

from pathlib import Path

from msgspec import Struct, field

from hoshikage.conversation import Message
from hoshikage.errors import CreateRefused
from hoshikage.models.modelfile import Modelfile

GGUF = ".gguf"
CONVERT = "it holds no GGUF file; convert the weights first, by llama.cpp's convert_hf_to_gguf.py"
FOREIGN = (".safetensors", ".bin", ".pth")


class Recipe(Struct, frozen=True, kw_only=True):
    """A model to be made under `name`: from the model `base`, or from `files`, told apart by their headers.

    Paths are absolute. None leaves what the base has. `ours` tells that the files lie in our own folder.
    """

    name: str
    base: str = ""
    files: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    draft: str = ""
    template: str | None = None
    system: str | None = None
    license: tuple[str, ...] = ()
    parameters: dict[str, object] = field(default_factory=dict)
    messages: tuple[Message, ...] | None = None
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    quantize: str = ""
    ours: bool = False


def from_modelfile(name: str, made: Modelfile, folder: Path, quantize: str = "") -> Recipe:
    """The recipe; paths count from the Modelfile's `folder`. Raises CreateRefused."""
    files = [path for each in made.from_ for path in found(each, folder)]
    if files and len(files) < len(made.from_):
        raise CreateRefused(reason="FROM names both a model and files; give the files only")
    return Recipe(
        name=name,
        base="" if files else made.from_[-1],
        files=tuple(files),
        adapters=tuple(part(each, "ADAPTER", folder) for each in made.adapters),
        draft=next((part(each, "DRAFT", folder) for each in made.drafts), ""),
        template=made.template,
        system=made.system,
        license=made.licenses,
        parameters=made.parameters,
        messages=made.messages or None,
        renderer=made.renderer or "",
        parser=made.parser or "",
        requires=made.requires or "",
        quantize=quantize,
    )


def found(text: str, folder: Path) -> list[str]:
    """The file, or the folder's GGUF files, that FROM names; none if it is a model's name. Raises CreateRefused."""
    path = absolute(text, folder)
    if path.is_file():
        return [str(path)]
    if not path.is_dir():
        if text.startswith((".", "/", "~")) or text.lower().endswith(GGUF):
            raise CreateRefused(reason=f"FROM {text}: no such file: {path}")
        return []
    inside = sorted(path.iterdir())
    if files := [str(each) for each in inside if each.suffix.lower() == GGUF]:
        return files
    if any(each.suffix in FOREIGN for each in inside):
        raise CreateRefused(reason=f"FROM {text}: {CONVERT}")
    raise CreateRefused(reason=f"FROM {text}: the folder holds no GGUF file")


def part(text: str, what: str, folder: Path) -> str:
    path = absolute(text, folder)
    if not path.is_file():
        raise CreateRefused(reason=f"{what} {text}: no such file: {path}")
    return str(path)


def absolute(text: str, folder: Path) -> Path:
    return (folder / Path(text).expanduser()).absolute()
