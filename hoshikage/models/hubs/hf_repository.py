"""What the Hugging Face hub, or its cache here, says about a repository; the hub's errors become ours here.

It transfers nothing. huggingface_hub is imported only where it is used, since it takes 0.3 s.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from msgspec import Struct

from hoshikage.errors import AccessDenied, HubFailed, HubUnreachable, NotOnHub, PullError
from hoshikage.models.hubs.hf_choice import File
from hoshikage.models.hubs.hf_names import Source

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import RepoSibling

SITE = "https://huggingface.co"
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")


class Repository(Struct, frozen=True, kw_only=True):
    """A repository at one commit; `license` is the name of its licence, if it tells one."""

    commit: str
    files: tuple[File, ...]
    license: tuple[str, ...] = ()


def asked(api: "HfApi", source: Source) -> Repository:
    """What the hub says, in one request, since the list of a tree knows no timeout. Raises PullError."""
    from huggingface_hub import constants

    timeout = constants.HF_HUB_ETAG_TIMEOUT
    with translated(api.endpoint, source):
        try:
            info = api.model_info(source.repo, revision=source.revision, files_metadata=True, timeout=timeout)
        except (ValueError, KeyError, TypeError) as error:
            raise HubFailed(hub=api.endpoint, reason=f"its answer cannot be read: {line(error)}") from error
    if not COMMIT.fullmatch(info.sha or ""):
        raise HubFailed(hub=api.endpoint, reason=f"it names no commit of {source.repo}")
    files = (listed(each) for each in info.siblings or [])
    return Repository(commit=info.sha or "", files=tuple(filter(sound, files)), license=license_of(info))


def listed(sibling: "RepoSibling") -> File:
    if sibling.lfs:
        return File(path=sibling.rfilename, size=sibling.lfs.size, digest=sibling.lfs.sha256)
    return File(path=sibling.rfilename, size=sibling.size or 0, digest=sibling.blob_id or "")


def sound(file: File) -> bool:
    """Whether path and digest may become names of files here."""
    path = PurePosixPath(file.path)
    plain = not path.is_absolute() and not {"..", "."} & set(path.parts) and "\\" not in file.path
    return plain and bool(DIGEST.fullmatch(file.digest))


def license_of(info: "ModelInfo") -> tuple[str, ...]:
    """The name that the model's card gives, or the hub's tag."""
    name = getattr(info.card_data, "license_name", None) or getattr(info.card_data, "license", None)
    tags = [tag.removeprefix("license:") for tag in info.tags or [] if tag.startswith("license:")]
    return (name,) if isinstance(name, str) else tuple(tags[:1])


def cached(folder: Path, source: Source) -> Repository:
    """What the repository's folder in the cache holds, for the offline mode. Raises NotOnHub."""
    ref = folder / "refs" / source.revision
    commit = ref.read_text().strip() if ref.is_file() else source.revision
    snapshot = folder / "snapshots" / commit
    if not COMMIT.fullmatch(commit) or not snapshot.is_dir():
        way = "unset HF_HUB_OFFLINE to fetch it"
        raise NotOnHub(hub=f"the cache {folder.parent}", name=source.repo, way=way)
    files = [described(Path(at) / name, snapshot) for at, _, names in os.walk(snapshot) for name in names]
    return Repository(commit=commit, files=tuple(file for file in files if file))


def described(path: Path, snapshot: Path) -> File | None:
    """A file of the cache; None if its content is gone."""
    if not path.is_file():
        return None
    return File(path=path.relative_to(snapshot).as_posix(), size=path.stat().st_size, digest=path.resolve().name)


@contextmanager
def translated(hub: str, source: Source) -> Iterator[None]:
    """The errors of the hub, the network and the cache's disk as ours, in one line with the way out."""
    from httpx2 import RequestError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except HfHubHTTPError as error:
        raise refused(hub, source, error) from error
    except (RequestError, OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        way = "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what is in the cache"
        reason = line(error.__cause__ or error) or type(error).__name__
        raise HubUnreachable(hub=hub, reason=reason, way=way) from error
    except HFValidationError as error:
        raise NotOnHub(hub=hub, name=source.repo, way=line(error)) from error
    except OSError as error:
        reason = f"{error.filename or 'the cache'}: {error.strerror or error}; HF_HOME names another folder"
        raise PullError(reason=reason) from error


def refused(hub: str, source: Source, error: "HfHubHTTPError") -> PullError:
    """The error for an answer of the hub that is one."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status, reason = error.response.status_code, error.server_message or line(error)
    if isinstance(error, GatedRepoError) or status == 403 or "Invalid credentials" in reason:
        page = f"{SITE}/{source.repo}"
        return AccessDenied(hub=hub, name=source.repo, reason=flat(reason), page=page)
    if isinstance(error, RepositoryNotFoundError):
        way = "check the spelling; if it is private, set HF_TOKEN to your token"
        return NotOnHub(hub=hub, name=source.repo, way=way)
    if isinstance(error, RevisionNotFoundError):
        return NotOnHub(hub=hub, name=f"{source.repo} at {source.revision}", way="name a branch, tag or commit it has")
    if status == 404:
        return NotOnHub(hub=hub, name=source.repo, way=flat(reason))
    return HubFailed(hub=hub, reason=f"{status}: {flat(reason)}")


def line(error: BaseException) -> str:
    """The first line of its text that says something."""
    return next((each.strip() for each in str(error).splitlines() if each.strip()), "")


def flat(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(".")
