"""Model names: the grammar `[[scheme://]host/]namespace/]model[:tag]`. It does not know which names exist."""

import re
from dataclasses import dataclass

from hoshikage.errors import BadName

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"

_GRAMMAR = re.compile(
    r"(?:(?:(?:https?://)?(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349})/)?"
    r"(?P<namespace>[A-Za-z0-9_][A-Za-z0-9_-]{0,79})/)?"
    r"(?P<model>[A-Za-z0-9_][A-Za-z0-9_.-]{0,79})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}))?"
)


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


def parse(text: str) -> Name:
    """The name that `text` spells; surrounding blanks do not count. Raises BadName."""
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise BadName(name=text)
    host, namespace, model, tag = match.group("host", "namespace", "model", "tag")
    return Name(host or HOST, namespace or NAMESPACE, model, tag or TAG)


def fold(text: str) -> str:
    """The key for look-ups: NAME, NAME:latest and any case of them fold to the same. Raises BadName."""
    return parse(text).key
