"""What a name of the Hugging Face hub means, pasted addresses included. It does not know what the hub holds."""

import re
from urllib.parse import unquote

from msgspec import Struct

from hoshikage.errors import BadName
from hoshikage.models import names

HOSTS = ("hf.co", "huggingface.co", "www.huggingface.co")
MAIN = "main"
TAG_LENGTH = 80
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_REPO = re.compile(
    r"(?P<repo>(?!datasets/|spaces/)[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*)"
    r"(?::(?P<tag>[^:]+)|/(?P<path>[^:]+))?/?"
)
_PAGE = re.compile(r"(?P<kind>blob|resolve|raw|tree)/(?P<revision>[^/]+)(?:/(?P<path>.+))?")


class Source(Struct, frozen=True, kw_only=True):
    """`repo` is "org/repo"; `wanted` a quantisation's tag or a file's path, empty for the default.

    `host` is empty if none was typed; `name` is what the model is registered under.
    """

    repo: str
    name: str
    host: str = ""
    revision: str = MAIN
    wanted: str = ""


def parse(text: str) -> Source | None:
    """None if the name cannot be of this hub. Raises BadName if no model could be registered under it."""
    typed = text.strip()
    address = _SCHEME.sub("", typed, count=1)
    if address != typed:
        address = unquote(re.split(r"[?#]", address)[0], errors="replace")
    host, _, rest = address.partition("/")
    if host.lower() not in HOSTS:
        return bare(typed)
    match = _REPO.fullmatch(rest)
    if match is None:
        return None
    repo, (revision, wanted) = match["repo"], within(match["tag"], match["path"])
    name = registered(address, host, repo, wanted)
    return Source(host=host.lower(), repo=repo, revision=revision, wanted=wanted, name=name)


def bare(typed: str) -> Source | None:
    """`org/repo[:tag]`, which may as well be of another hub."""
    match = _REPO.fullmatch(typed)
    if match is None or match["path"] is not None or "." in typed.partition("/")[0]:
        return None
    _, wanted = within(match["tag"], None)
    return Source(repo=match["repo"], wanted=wanted, name=registered(typed, "", match["repo"], wanted))


def within(tag: str | None, path: str | None) -> tuple[str, str]:
    """The revision, and what is wanted of it."""
    if path is None:
        return MAIN, "" if tag is None or tag.lower() == names.TAG else tag
    page = _PAGE.fullmatch(path)
    if page is None:
        return MAIN, path
    inner = page["path"] or ""
    return page["revision"], inner.rpartition("/")[2] if page["kind"] == "tree" else inner


def registered(address: str, host: str, repo: str, wanted: str) -> str:
    """As typed; a file that a model name cannot spell becomes the tag. Raises BadName."""
    try:
        names.parse(address)
    except BadName:
        tag = re.sub(r"[^A-Za-z0-9_.-]", "-", wanted.rpartition("/")[2])[-TAG_LENGTH:].lstrip("-.")
        address = "/".join(part for part in (host.lower(), repo) if part) + (f":{tag}" if tag else "")
        names.parse(address)
    return address
