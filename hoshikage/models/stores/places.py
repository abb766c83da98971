"""Where the stores lie on this machine: by the settings, by their tools' own variables, else in the usual places."""

from collections.abc import Callable, Mapping
from pathlib import Path

from hoshikage.models.stores.base import Store
from hoshikage.models.stores.folders import Folders
from hoshikage.models.stores.huggingface import HuggingFace
from hoshikage.models.stores.lm_studio import LmStudio
from hoshikage.models.stores.ollama import Ollama
from hoshikage.settings import Settings

ALL = "all"
KINDS: dict[str, Callable[[Path], Store]] = {each.name: each for each in (Ollama, LmStudio, HuggingFace, Folders)}
OLLAMA_SERVICE = Path("/usr/share/ollama/.ollama/models")
"""Where Ollama keeps its models when it runs as a service of Linux."""


def stores(kind: str, settings: Settings, environ: Mapping[str, str], root: Path | None = None) -> list[Store]:
    """The stores of a kind, or of all; `root` stands for the place of that kind. They may be empty or not there."""
    if root:
        return [KINDS[kind](root.expanduser().absolute())]
    home = Path(environ.get("HOME") or Path.home())
    roots = {
        Ollama.name: ollama_roots(settings, home),
        LmStudio.name: lm_studio_roots(home),
        HuggingFace.name: (huggingface_root(environ, home),),
        Folders.name: settings.model_paths,
    }
    kinds = KINDS if kind == ALL else (kind,)
    return [KINDS[each](place) for each in kinds for place in first_there(each, roots[each])]


def first_there(kind: str, roots: tuple[Path, ...]) -> tuple[Path, ...]:
    """Of all but plain folders only the first that exists counts, or the first if none does."""
    if kind == Folders.name:
        return roots
    return tuple(root for root in roots if root.is_dir())[:1] or roots[:1]


def ollama_roots(settings: Settings, home: Path) -> tuple[Path, ...]:
    if settings.ollama_models:
        return (settings.ollama_models,)
    return home / ".ollama" / "models", OLLAMA_SERVICE


def lm_studio_roots(home: Path) -> tuple[Path, ...]:
    return (
        *lm_studio_pointer(home / ".lmstudio-home-pointer"),
        home / ".lmstudio" / "models",
        home / ".cache" / "lm-studio" / "models",
    )


def lm_studio_pointer(file: Path) -> tuple[Path, ...]:
    """The place that LM Studio notes when its folder was moved."""
    try:
        text = file.read_text("utf-8").strip() if file.is_file() else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    return (Path(text) / "models",) if text and Path(text).is_absolute() else ()


def huggingface_root(environ: Mapping[str, str], home: Path) -> Path:
    """By HF_HUB_CACHE, HF_HOME or XDG_CACHE_HOME, as huggingface_hub finds it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if place := environ.get(variable):
            return Path(place).expanduser().absolute()
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    return Path(environ.get("HF_HOME") or cache / "huggingface").expanduser().absolute() / "hub"
