"""Which of a repository's files are meant: the model's, all its shards, and its projector. Pure; it asks nobody."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from msgspec import Struct

from hoshikage.errors import NoChoice

DEFAULT = "Q4_K_M"
ORDER = (
    DEFAULT,
    *("Q4_K_S", "Q4_0", "Q4_1", "IQ4_NL", "IQ4_XS", "UD-Q4_K_XL", "Q4_K_XL", "Q4_K_L", "Q4_K", "MXFP4"),
    *("Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q5_K", "UD-Q5_K_XL", "Q6_K", "UD-Q6_K_XL", "Q8_0", "UD-Q8_K_XL"),
    *("Q3_K_L", "Q3_K_M", "Q3_K_S", "UD-Q3_K_XL", "Q3_K", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS"),
    *("F16", "BF16", "F32"),
)
"""What is taken where no quantisation is named, the first that is there. What it lacks comes after it, and
then LOSSY, which answer too badly to be anyone's default."""
LOSSY = re.compile(r"(?:UD-)?(?:I?Q|TQ)(?P<bits>[12])_")
PROJECTOR_ORDER = ("F16", "BF16", "Q8_0", "F32")
LISTED = 40
_LABEL = re.compile(
    r"(?<![A-Z0-9])(?:UD-)?(?:I?Q[1-8]_(?:K_)?(?:[A-Z]{1,3}|[0-9])(?:_[0-9]_[0-9])?(?![A-Z0-9])"
    r"|TQ[12]_0|MXFP4|BF16|FP?16|FP?32)(?![A-Z0-9])"
)
_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_OTHER = re.compile(r"(?<![a-z0-9])(imatrix|mmproj|adapters?)(?![a-z0-9])", re.IGNORECASE)
_LORA = re.compile(r"(?<![a-z0-9])lora(?![a-z0-9])", re.IGNORECASE)


class File(Struct, frozen=True, kw_only=True):
    """A file of a repository: its path there, its size in bytes, and the hexadecimal digest that names its content.

    The digest is a sha256, or git's own id (40 digits) for a small file that lies in git itself.
    """

    path: str
    size: int
    digest: str

    @property
    def base(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.path).parent)


class Model(Struct, frozen=True, kw_only=True):
    """One thing to choose: a file, or all the shards of one, the first first."""

    stem: str
    label: str
    files: tuple[File, ...]
    count: int = 1

    @property
    def folder(self) -> str:
        return self.files[0].folder


class Choice(Struct, frozen=True, kw_only=True):
    """What is fetched, and the sentences that say what was chosen without being asked for."""

    files: tuple[File, ...]
    projector: File | None = None
    said: tuple[str, ...] = ()


def choose(repo: str, files: Iterable[File], wanted: str = "") -> Choice:
    """The files that `wanted` (a tag, a path or nothing) means. Raises NoChoice with what there is."""
    there = list(files)
    models = grouped(there)
    if not models:
        raise NoChoice(repo=repo, reason=without_gguf(there))
    model, said = named(repo, models, wanted) if wanted else usual(repo, models)
    if missing := sorted(set(range(1, model.count + 1)) - {shard_number(file) for file in model.files}):
        lost = ", ".join(f"{number:05}" for number in missing[:LISTED])
        raise NoChoice(repo=repo, reason=f"of the {model.count} parts of {model.stem} it lacks {lost}")
    projector, told = projector_of(model, there)
    return Choice(files=model.files, projector=projector, said=(*said, *told))


def grouped(files: Iterable[File]) -> list[Model]:
    """The models, shards put together, by path."""
    found: dict[tuple[str, int], list[File]] = {}
    for file in files:
        if is_gguf(file) and not is_other(file):
            match = _SHARD.fullmatch(file.path)
            key = (match["stem"], int(match["count"])) if match else (file.path[: -len(".gguf")], 0)
            found.setdefault(key, []).append(file)
    return [
        Model(stem=stem, label=label_of(stem), files=tuple(sorted(group, key=lambda file: file.path)), count=count or 1)
        for (stem, count), group in sorted(found.items())
    ]


def is_gguf(file: File) -> bool:
    return file.path.lower().endswith(".gguf")


def is_other(file: File) -> bool:
    """Whether a GGUF is no model by itself: a projector, an importance matrix or an adapter."""
    return bool(_OTHER.search(file.base) or (_LORA.search(file.base) and not label_of(file.base)))


def shard_number(file: File) -> int:
    match = _SHARD.fullmatch(file.path)
    return int(match["number"]) if match else 1


def label_of(path: str) -> str:
    """The quantisation that the file's name carries, else its folder's, as in "Q4_K_M"; empty if none does."""
    for part in reversed(path.upper().split("/")):
        if found := _LABEL.findall(part):
            return spelled(found[-1])
    return ""


def spelled(tag: str) -> str:
    return re.sub(r"^FP(?=16|32)", "F", tag.upper())


def named(repo: str, models: Sequence[Model], wanted: str) -> tuple[Model, tuple[str, ...]]:
    """The model with this path, file name or tag."""
    for found in matches(models, wanted):
        if len(found) == 1:
            return found[0], ()
        if found:
            raise NoChoice(repo=repo, reason=f"{wanted} may be any of {listed(found)}; name the file")
    raise NoChoice(repo=repo, reason=f"nothing there is {wanted}; there are {offered(models)}")


def matches(models: Sequence[Model], wanted: str) -> Iterable[list[Model]]:
    """What fits, the closest kind of fit first."""
    folded = wanted.strip("/").lower()
    yield [model for model in models if any(file.path.lower() == folded for file in model.files)]
    if folded.endswith(".gguf"):
        yield [model for model in models if any(file.base.lower() == folded for file in model.files)]
        return
    yield [model for model in models if model.label == spelled(wanted)]
    token = re.compile(rf"(?<![a-z0-9]){re.escape(folded)}(?![a-z0-9_])")
    yield [model for model in models if token.search(model.stem.lower())]


def usual(repo: str, models: Sequence[Model]) -> tuple[Model, tuple[str, ...]]:
    """The default: the first of ORDER that is there."""
    best = min(rank(model) for model in models)
    found = [model for model in models if rank(model) == best]
    if len(found) > 1:
        raise NoChoice(repo=repo, reason=f"no file is named, and there are {listed(found)}; name one of them")
    if found[0].label == DEFAULT:
        return found[0], ()
    what = found[0].label or base_of(found[0])
    there = "it is the only one" if len(models) == 1 else f"there are {offered(models)}"
    return found[0], (f"chose {what}: no {DEFAULT} here; {there}",)


def rank(model: Model) -> tuple[int, int, str]:
    """Models of equal rank cannot be told apart by their names."""
    if model.label in ORDER:
        return ORDER.index(model.label), 0, ""
    lossy = LOSSY.match(model.label)
    return len(ORDER) + bool(lossy), -int(lossy["bits"]) if lossy else 0, model.label


def projector_of(model: Model, files: Iterable[File]) -> tuple[File | None, tuple[str, ...]]:
    """The nearest mmproj file: of the model's folder, else of one above it."""
    found = [file for file in files if is_gguf(file) and "mmproj" in file.base.lower()]
    above = [str(folder) for folder in (PurePosixPath(model.stem).parent, *PurePosixPath(model.stem).parent.parents)]
    near = [[file for file in found if file.folder == folder] for folder in above]
    candidates = next((each for each in near if each), [])
    if not candidates:
        return None, ()
    best = min(candidates, key=lambda file: (precision(file), file.size, file.path))
    more = f"; there are {', '.join(file.base for file in candidates)}" if len(candidates) > 1 else ""
    return best, (f"with the projector {best.base}{more}",)


def precision(file: File) -> int:
    label = label_of(file.base)
    return PROJECTOR_ORDER.index(label) if label in PROJECTOR_ORDER else len(PROJECTOR_ORDER)


def without_gguf(files: Iterable[File]) -> str:
    """Why there is nothing to choose from, and what to do."""
    kinds = {file.path.lower().rpartition(".")[2] for file in files}
    if "gguf" in kinds:
        return "its GGUF files are projectors, adapters or importance matrices; look for the repository of the model"
    if kinds & {"safetensors", "bin"}:
        return (
            "it holds no GGUF, only the original weights (safetensors); look for a conversion, often the same name "
            "with -GGUF, or convert it with llama.cpp's convert_hf_to_gguf.py"
        )
    return "it holds no GGUF file"


def base_of(model: Model) -> str:
    return f"{PurePosixPath(model.stem).name}.gguf" if model.count == 1 else model.files[0].base


def listed(models: Sequence[Model]) -> str:
    return shortened([model.files[0].path for model in models])


def offered(models: Sequence[Model]) -> str:
    """What can be typed after the colon."""
    return shortened(list(dict.fromkeys(model.label or base_of(model) for model in models)))


def shortened(words: list[str]) -> str:
    more = f" and {len(words) - LISTED} more" if len(words) > LISTED else ""
    return ", ".join(words[:LISTED]) + more
