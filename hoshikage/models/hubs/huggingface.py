"""Models of the Hugging Face hub, brought into its own cache, which other tools share. It does not know the registry.

The environment is huggingface_hub's: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE, proxies.
"""

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from hoshikage import atomic
from hoshikage.errors import BadName, DiskFull, HubFailed, UnknownSource
from hoshikage.models.entry import Stored
from hoshikage.models.hubs import hf_names
from hoshikage.models.hubs.base import Fetched, Progress, Steps
from hoshikage.models.hubs.hf_choice import Choice, File, choose
from hoshikage.models.hubs.hf_names import Source
from hoshikage.models.hubs.hf_repository import Repository, asked, cached, translated
from hoshikage.models.hubs.hf_transfer import SPAN_BYTES, Blob, State, bring
from hoshikage.models.space import filling, free_bytes

if TYPE_CHECKING:
    from huggingface_hub import HfApi

THREAD = "transfer"
TELL_SECONDS = 0.1
STOP_SECONDS = 2.0
"""How long a stopped transfer may take to let go of its file; one that hangs while it connects is left behind."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a name means at the hub's present commit."""

    source: Source
    repository: Repository
    choice: Choice

    @property
    def files(self) -> tuple[File, ...]:
        projector = self.choice.projector
        return (*self.choice.files, *([projector] if projector else []))


class HuggingFace:
    """The hub. What the environment says can be given instead, and what a disk has free."""

    known = "hf.co/ORG/REPO[:QUANT]"

    def __init__(
        self,
        endpoint: str | None = None,
        cache: Path | None = None,
        token: str | None = None,
        free: Callable[[Path], int] = free_bytes,
        span: int = SPAN_BYTES,
    ) -> None:
        self._endpoint, self._cache, self._token = endpoint, cache, token
        self._free, self._span = free, span

    def takes(self, name: str) -> bool:
        try:
            return hf_names.parse(name) is not None
        except BadName:
            return True  # it is ours; `plan` and `fetch` say what is wrong with it

    def plan(self, name: str, folder: Path) -> Fetched:
        """Asks the hub; nothing is put into `folder`. Raises PullError, NotOnHub if there is no such repository."""
        return self._fetched(self._find(name))

    def fetch(self, name: str, folder: Path) -> Steps:
        yield Progress(status="pulling manifest")
        wanted = self._find(name)
        for sentence in wanted.choice.said:
            yield Progress(status=sentence)
        blobs = [self._blob(wanted, file) for file in wanted.files]
        self._check_space(blobs)
        with translated(self._api.endpoint, wanted.source):
            for blob in blobs:
                yield from self._bring(blob)
            self._link(wanted)
        return self._fetched(wanted)

    @property
    def _api(self) -> "HfApi":
        from huggingface_hub import HfApi

        return HfApi(endpoint=self._endpoint, token=self._token, library_name="hoshikage")

    def _folder(self, *more: str) -> Path:
        """A folder of the cache."""
        from huggingface_hub import constants

        return Path(self._cache or constants.HF_HUB_CACHE).expanduser().resolve().joinpath(*more)

    def _find(self, name: str) -> Wanted:
        from huggingface_hub import constants

        source = hf_names.parse(name)
        if source is None:
            raise UnknownSource(name=name, known=self.known)
        if constants.is_offline_mode():
            repository = cached(self._folder(repo_folder(source)), source)
        else:
            repository = asked(self._api, source)
        return Wanted(source=source, repository=repository, choice=choose(source.repo, repository.files, source.wanted))

    def _fetched(self, wanted: Wanted) -> Fetched:
        source, commit, projector = wanted.source, wanted.repository.commit, wanted.choice.projector
        first = wanted.choice.files[0]
        stored = Stored(
            path=str(self._pointer(wanted, first)),
            projectors=(str(self._pointer(wanted, projector)),) if projector else (),
            license=wanted.repository.license,
            origin=f"hf.co/{source.repo}/{first.path}@{commit}",
        )
        return Fetched(name=source.name, model=stored)

    def _pointer(self, wanted: Wanted, file: File) -> Path:
        return self._folder(repo_folder(wanted.source), "snapshots", wanted.repository.commit, file.path)

    def _blob(self, wanted: Wanted, file: File) -> Blob:
        from huggingface_hub import hf_hub_url

        repo, commit = wanted.source.repo, wanted.repository.commit
        return Blob(
            file=file,
            url=hf_hub_url(repo, file.path, revision=commit, endpoint=self._endpoint),
            path=self._folder(repo_folder(wanted.source), "blobs", file.digest),
            pointer=self._pointer(wanted, file),
            lock=self._folder(".locks", repo_folder(wanted.source), f"{file.digest}.lock"),
        )

    def _check_space(self, blobs: Iterable[Blob]) -> None:
        needed = sum(blob.file.size - blob.arrived for blob in blobs)
        if needed and (free := self._free(self._folder())) < needed:
            raise DiskFull(folder=self._folder(), free=free, needed=needed)

    def _bring(self, blob: Blob) -> Generator[Progress, None, None]:
        if blob.whole:
            yield pulling(blob.file, blob.file.size)
            return
        self._check_same(blob)
        state, done = State(), Future[None]()
        thread = threading.Thread(target=self._run, args=(blob, state, done), name=THREAD, daemon=True)
        thread.start()
        try:
            yield from told(blob, state, done)
        finally:
            state.stop()
            thread.join(STOP_SECONDS)
        self._finish(blob, done)

    def _run(self, blob: Blob, state: State, done: Future[None]) -> None:
        """The transfer's thread: whatever ends it is handed to the one who waits."""
        try:
            bring(blob, self._headers(), state, self._span)
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _finish(self, blob: Blob, done: Future[None]) -> None:
        """Raise what the transfer ended with."""
        with filling(self._folder(), lambda: blob.file.size - blob.arrived, self._free):
            done.result()

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils import build_hf_headers

        return build_hf_headers(token=self._token, library_name="hoshikage")

    def _check_same(self, blob: Blob) -> None:
        """The hub must mean the same content where it lists the file and where it gives it. Raises HubFailed."""
        from huggingface_hub import constants, get_hf_file_metadata

        there = get_hf_file_metadata(
            blob.url, token=self._token, timeout=constants.HF_HUB_ETAG_TIMEOUT, endpoint=self._endpoint
        )
        if (there.etag, there.size) != (blob.file.digest, blob.file.size):
            reason = f"it lists {blob.file.path} with {blob.file.size} bytes ({blob.file.digest}), but gives another"
            raise HubFailed(hub=self._api.endpoint, reason=f"{reason}: {there.size} bytes ({there.etag})")

    def _link(self, wanted: Wanted) -> None:
        """Give the blobs their names in the cache, the revision last: from then on other tools see them."""
        from huggingface_hub import hf_hub_download

        source, commit = wanted.source, wanted.repository.commit
        for file in wanted.files:
            hf_hub_download(
                source.repo,
                file.path,
                revision=commit,
                cache_dir=self._folder(),
                endpoint=self._endpoint,
                token=self._token,
                library_name="hoshikage",
            )
        refer(self._folder(repo_folder(source), "refs"), source.revision, commit)


def repo_folder(source: Source) -> str:
    return f"models--{source.repo.replace('/', '--')}"


def refer(folder: Path, revision: str, commit: str) -> None:
    """Note in the cache which commit the revision is, for the offline mode."""
    ref = folder / revision
    if revision == commit or (ref.is_file() and ref.read_text() == commit):
        return
    atomic.write(ref, commit.encode())


def pulling(file: File, completed: int) -> Progress:
    kind = "sha256" if len(file.digest) == 64 else "sha1"
    digest = f"{kind}:{file.digest}"
    return Progress(status=f"pulling {file.digest[:12]}", digest=digest, total=file.size, completed=completed)


def told(blob: Blob, state: State, done: Future[None]) -> Generator[Progress, None, None]:
    """The transfer's progress until it ends, however it does; it never goes backwards."""
    highest = blob.arrived
    yield pulling(blob.file, highest)
    said = False
    while not done.done():
        wait((done,), timeout=TELL_SECONDS)
        if state.waiting and not said:
            yield Progress(status=f"waiting for another pull of {blob.file.base}")
            said = True
        highest = max(highest, state.completed)
        yield pulling(blob.file, highest)
    if state.verified:
        yield Progress(status="verifying sha256 digest")
