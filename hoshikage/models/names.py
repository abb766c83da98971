"""Model names: the grammar `[[scheme://]host/]namespace/]model[:tag]`. It does not know which names exist."""

import functools
import re
import unicodedata
from dataclasses import dataclass

from hoshikage.errors import BadName, BadSource, CloudDisabled

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"
SOURCES = ("cloud", "local")
"""What may follow a name to tell where the model runs."""

_GRAMMAR = re.compile(
    r"(?:(?:(?:https?://)?(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349})/)?"
    r"(?P<namespace>[A-Za-z0-9_][A-Za-z0-9_-]{0,79})/)?"
    r"(?P<model>[A-Za-z0-9_][A-Za-z0-9_.-]{0,79})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}))?"
)
_REFUSED = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Name:
    """The four parts, spelled as they were typed, defaults filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def short(self) -> str:
        """What `/api/*` shows: default host and namespace left out, the tag always there."""
        if self.host.lower() != HOST:
            return self.full
        if self.namespace.lower() != NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def key(self) -> str:
        """Equal for two spellings of the same name."""
        return self.full.lower()


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Name:
    """The name that `text` spells; surrounding blanks do not count. Raises BadName."""
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise BadName(name=text)
    host, namespace, model, tag = match.group("host", "namespace", "model", "tag")
    return Name(host or HOST, namespace or NAMESPACE, model, tag or TAG)


def parse_exact(text: str) -> Name:
    """As `parse`, but surrounding blanks are a mistake. Raises BadName."""
    if text != text.strip():
        raise BadName(name=text)
    return parse(text)


def local(text: str) -> str:
    """The name without `:local`. Raises CloudDisabled where `:cloud` or a tag that ends in `-cloud` asks for another
    machine, and BadSource where it asks for both."""
    rest, sources = text.strip(), set[str]()
    while (end := rest.rpartition(":")[2].lower()) in SOURCES and ":" in rest:
        sources.add(end)
        rest = rest.rpartition(":")[0]
    if len(sources) > 1:
        raise BadSource(name=text)
    if "cloud" in sources or (rest.lower().rpartition(":")[2].endswith("-cloud") and ":" in rest):
        raise CloudDisabled(what="remote model is unavailable")
    return rest


def unsuffixed(text: str) -> str:
    """The name without `:local`, in any case; `:cloud` is a tag here."""
    text = text.strip()
    return text[: -len(":local")] if text.lower().endswith(":local") else text


def hint(text: str) -> str | None:
    """A name made of what of `text` can be kept, for a person to take; None where too little remains."""
    *before, last = unicodedata.normalize("NFKC", text).strip().split("/")
    model, tag = (_usable(piece) for piece in (last.partition(":")[0], last.partition(":")[2]))
    namespaces = [_usable(piece).replace(".", "-") for piece in before[-1:]]
    name = "/".join([*before[:-1], *filter(None, namespaces), f"{model}:{tag}" if tag else model])
    return name if model and _GRAMMAR.fullmatch(name) and name != text.strip() else None


def _usable(piece: str) -> str:
    """What is not allowed in a part becomes one dash; a part starts with a letter or digit and ends with one."""
    return _REFUSED.sub("-", piece).strip("-._")


@functools.lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """The key for look-ups: NAME, NAME:latest and any case of them fold to the same. Raises BadName."""
    return parse(text).key
