"""The Hugging Face hub with the real huggingface_hub client, against a small hub of the tests' own."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.errors import (
    AccessDenied,
    BadName,
    DiskFull,
    HashMismatch,
    HubFailed,
    HubUnreachable,
    NoChoice,
    NotOnHub,
    PullError,
)
from hoshikage.models.hubs import hf_transfer
from hoshikage.models.hubs.base import Fetched, Progress, Steps
from hoshikage.models.hubs.huggingface import THREAD, HuggingFace
from tests.models.hubs.hf_pull import finished, started
from tests.models.hubs.hub_app import COMMIT, Content, Hub, served

NAME = "hf.co/org/repo:Q4_K_M"
TOKEN = "hf_secret"
MEBI = 1 << 20
Pull = Callable[..., tuple[list[Progress], Fetched]]


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf").read_bytes()


@pytest.fixture
def hub(gguf: bytes) -> Iterator[Hub]:
    """One model of a mebibyte, with a README."""
    model = Content(gguf.ljust(MEBI, b"\0"))
    with served(Hub({"tiny-Q4_K_M.gguf": model, "README.md": Content(b"tiny"), "tiny-Q8_0.gguf": Content(gguf)})) as it:
        yield it


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second between two attempts, and no proxy."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(hf_transfer, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def pull(hub: Hub, tmp_path: Path) -> Pull:
    def pulled(name: str = NAME, **more: object) -> tuple[list[Progress], Fetched]:
        return run(HuggingFace(hub.url, tmp_path, **more).fetch(name, Path()))  # type: ignore[arg-type]

    return pulled


def run(steps: Steps) -> tuple[list[Progress], Fetched]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return seen, stop.value


def test_the_file_lies_checked_in_the_shared_cache(hub: Hub, pull: Pull, tmp_path: Path) -> None:
    seen, fetched = pull()
    model = Path(fetched.model.path)
    assert model.relative_to(tmp_path) == Path("models--org--repo/snapshots") / COMMIT / "tiny-Q4_K_M.gguf"
    assert model.resolve().name == hub.files["tiny-Q4_K_M.gguf"].sha256
    assert model.stat().st_size == MEBI
    assert (fetched.name, fetched.model.fetched, fetched.model.license) == (NAME, False, ("apache-2.0",))
    assert fetched.model.origin == f"hf.co/org/repo/tiny-Q4_K_M.gguf@{COMMIT}"
    assert (seen[0].status, seen[-1].status) == ("pulling manifest", "verifying sha256 digest")


def test_progress_is_told_in_ollamas_words(hub: Hub, pull: Pull) -> None:
    digest = hub.files["tiny-Q4_K_M.gguf"].sha256
    steps = [step for step in pull()[0] if step.total]
    told = {(step.status, step.digest, step.total) for step in steps}
    assert told == {(f"pulling {digest[:12]}", f"sha256:{digest}", MEBI)}
    done = [step.completed or 0 for step in steps]
    assert (done, done[-1]) == (sorted(done), MEBI)


def test_a_plan_tells_what_fetching_brings_and_transfers_nothing(hub: Hub, pull: Pull, tmp_path: Path) -> None:
    planned = HuggingFace(hub.url, tmp_path).plan(NAME, Path())
    assert not hub.transfers()
    assert pull()[1] == planned


def test_what_the_cache_holds_is_not_transferred_again(hub: Hub, pull: Pull) -> None:
    pull()
    steps, fetched = pull()
    assert len(hub.transfers()) == 1
    assert [step.completed for step in steps if step.total] == [MEBI]
    assert Path(fetched.model.path).is_file()


def test_huggingface_hub_finds_what_was_brought(pull: Pull, tmp_path: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    _, fetched = pull()
    assert try_to_load_from_cache("org/repo", "tiny-Q4_K_M.gguf", tmp_path) == fetched.model.path


def test_all_shards_and_the_projector_come_along(hub: Hub, pull: Pull) -> None:
    names = ("Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", "Q4_K_M/m-Q4_K_M-00002-of-00002.gguf", "mmproj-F16.gguf")
    hub.files = {name: Content(name.encode()) for name in (*names, "mmproj-F32.gguf", "m-Q8_0.gguf")}
    steps, fetched = pull("hf.co/org/repo")
    assert fetched.model.path.endswith(names[0])
    assert [Path(each).name for each in fetched.model.projectors] == ["mmproj-F16.gguf"]
    assert Path(fetched.model.path).with_name("m-Q4_K_M-00002-of-00002.gguf").is_file()
    assert [step.status for step in steps][1].startswith("with the projector mmproj-F16.gguf; there are mmproj-F16")


def test_a_choice_that_nobody_asked_for_is_told(hub: Hub, pull: Pull) -> None:
    del hub.files["tiny-Q4_K_M.gguf"]
    assert pull("org/repo")[0][1].status == "chose Q8_0: no Q4_K_M here; it is the only one"


def test_a_transfer_that_breaks_off_goes_on_where_it_ended(hub: Hub, pull: Pull) -> None:
    hub.cut_at = MEBI // 4
    steps, fetched = pull()
    done = [step.completed or 0 for step in steps if step.total]
    assert (done, Path(fetched.model.path).stat().st_size) == (sorted(done), MEBI)
    starts = [int((each.range or "").removeprefix("bytes=").partition("-")[0]) for each in hub.transfers()]
    assert starts == sorted(set(starts))
    assert len(starts) == 4


def test_a_large_file_is_asked_for_in_spans(hub: Hub, pull: Pull) -> None:
    pull(span=MEBI // 2)
    assert [each.range for each in hub.transfers()] == ["bytes=0-524287", "bytes=524288-1048575"]


def test_a_server_that_ignores_ranges_is_listened_to_from_the_start(hub: Hub, pull: Pull, tmp_path: Path) -> None:
    hub.ranges = False
    partial = partial_file(hub, tmp_path)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"other bytes")
    steps, fetched = pull()
    done = [step.completed or 0 for step in steps if step.total]
    assert done == sorted(done)
    assert Path(fetched.model.path).stat().st_size == MEBI


def test_progress_waits_where_it_was_while_a_server_starts_anew(hub: Hub, pull: Pull, tmp_path: Path) -> None:
    hub.ranges, hub.hold_at = False, MEBI // 8
    partial = partial_file(hub, tmp_path)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(MEBI // 2))
    steps = HuggingFace(hub.url, tmp_path).fetch(NAME, Path())
    told = []
    while not hub.held.is_set():
        told.append(next(steps))
    told += [next(steps), next(steps), next(steps)]
    hub.released.set()
    done = [step.completed or 0 for step in (*told, *run(steps)[0]) if step.total]
    assert (done, done[0], done[-1]) == (sorted(done), MEBI // 2, MEBI)


def partial_file(hub: Hub, cache: Path) -> Path:
    return cache / "models--org--repo" / "blobs" / f"{hub.files['tiny-Q4_K_M.gguf'].sha256}.incomplete"


def test_a_connection_that_never_brings_a_byte_is_given_up(hub: Hub, pull: Pull) -> None:
    hub.cut_at = 0
    with pytest.raises(HubUnreachable):
        pull()
    assert len(hub.transfers()) == hf_transfer.ATTEMPTS


def test_wrong_bytes_are_refused_and_not_kept(hub: Hub, pull: Pull, tmp_path: Path) -> None:
    hub.wrong = True
    with pytest.raises(HashMismatch, match=r"tiny-Q4_K_M\.gguf arrived damaged"):
        pull()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size >= MEBI]
    hub.wrong = False
    assert Path(pull()[1].model.path).is_file()


def test_a_hub_that_contradicts_itself_is_not_believed(hub: Hub, pull: Pull) -> None:
    hub.lie_size = 1
    with pytest.raises(HubFailed, match="gives another"):
        pull()
    assert not hub.transfers()


def test_too_little_space_is_told_before_the_transfer(hub: Hub, pull: Pull) -> None:
    with pytest.raises(DiskFull, match=f"1000 bytes free, {MEBI} are needed"):
        pull(free=lambda folder: 1000)
    assert not hub.transfers()


def test_only_what_is_missing_needs_space(hub: Hub, pull: Pull, tmp_path: Path) -> None:
    partial = partial_file(hub, tmp_path)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"".join(hub.files["tiny-Q4_K_M.gguf"].part(0, MEBI - 1000)))
    assert Path(pull(free=lambda folder: 1000)[1].model.path).is_file()
    assert [each.range for each in hub.transfers()] == [f"bytes={MEBI - 1000}-{MEBI - 1}"]


def test_closing_ends_the_transfer_and_leaves_what_arrived(hub: Hub, tmp_path: Path, pull: Pull) -> None:
    hub.hold_at = MEBI // 2
    steps = HuggingFace(hub.url, tmp_path).fetch(NAME, Path())
    while (next(steps).completed or 0) < MEBI // 2:
        pass
    steps.close()
    assert not [thread for thread in threading.enumerate() if thread.name == THREAD]  # though the hub is silent
    hub.hold_at = None
    shown = [step.completed or 0 for step in pull()[0] if step.total]
    assert shown[0] >= MEBI // 2
    assert hub.transfers()[-1].range == f"bytes={shown[0]}-{MEBI - 1}"


def test_the_token_stays_with_the_hub(hub: Hub, pull: Pull) -> None:
    hub.token = TOKEN
    pull(token=TOKEN)
    sent = {(each.host, each.authorization) for each in hub.seen}
    assert sent == {("127.0.0.1", f"Bearer {TOKEN}"), ("localhost", None)}


REFUSALS: list[tuple[dict[str, object], type[PullError], str]] = [
    ({"gated": True}, AccessDenied, r"is restricted; accept its licence at https://huggingface\.co/org/repo"),
    ({"token": "hf_other"}, AccessDenied, "Invalid credentials.*HF_TOKEN"),
    ({"repo": "org/other"}, NotOnHub, "has no org/repo; check the spelling; if it is private, set HF_TOKEN"),
    ({"missing_revision": True}, NotOnHub, "has no org/repo at main"),
    ({"status": 500}, HubFailed, "500: the hub is out of order"),
    ({"files": {"model.safetensors": Content(b"x")}}, NoChoice, "holds no GGUF.*-GGUF"),
]


@pytest.mark.parametrize(("how", "error", "text"), REFUSALS)
def test_the_hubs_refusal_is_one_line_with_the_way_out(
    hub: Hub, pull: Pull, how: dict[str, object], error: type[PullError], text: str
) -> None:
    for name, value in how.items():
        setattr(hub, name, value)
    with pytest.raises(error, match=text) as raised:
        pull()
    assert "\n" not in str(raised.value) + raised.value.text("ja")


def test_a_name_under_which_nothing_can_be_registered_is_refused_before_the_hub_is_asked(hub: Hub, pull: Pull) -> None:
    name = f"hf.co/org/{'r' * 90}"
    assert HuggingFace(hub.url).takes(name)
    with pytest.raises(BadName):
        pull(name)
    assert not hub.seen


def test_a_hub_that_is_not_there_is_told(tmp_path: Path) -> None:
    with served(Hub({})) as gone:
        pass
    with pytest.raises(HubUnreachable, match="HF_ENDPOINT"):
        run(HuggingFace(gone.url, tmp_path).fetch(NAME, Path()))


def test_a_hub_that_falls_silent_is_given_up(hub: Hub, pull: Pull, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.1)
    hub.hold_at = MEBI // 2
    with pytest.raises(HubUnreachable, match="timed out"):
        pull()
    hub.silent = True
    with pytest.raises(HubUnreachable, match="timed out"):
        pull()


def test_a_cache_that_cannot_be_written_is_told(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PullError, match=r"file.*Not a directory; HF_HOME names another folder"):
        run(HuggingFace(hub.url, tmp_path / "file").fetch(NAME, Path()))


def test_a_repository_cannot_name_files_outside_its_folder(hub: Hub, pull: Pull) -> None:
    hub.files = {"../../evil-Q4_K_M.gguf": Content(b"x"), "/evil-Q4_K_M.gguf": Content(b"x")}
    with pytest.raises(NoChoice, match="no GGUF file"):
        pull()


def test_a_killed_pull_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.hold_at = 4 * MEBI // 10
    child = started(hub, tmp_path, NAME)
    assert hub.held.wait(60)
    assert child.stdout is not None
    while '"completed":' not in (line := child.stdout.readline()) or int(line.rpartition(":")[2][:-2]) < hub.hold_at:
        assert line
    child.kill()
    finished(child)
    hub.released.set()
    told = finished(started(hub, tmp_path, NAME))
    shown = [step["completed"] for step in told if "total" in step]
    assert shown[0] >= hub.hold_at
    assert hub.transfers()[-1].range == f"bytes={shown[0]}-{MEBI - 1}"
    assert Path(told[-1]["path"]).stat().st_size == MEBI


def test_two_pulls_at_once_download_once(hub: Hub, tmp_path: Path) -> None:
    hub.hold_at = MEBI // 2
    first = started(hub, tmp_path, NAME)
    assert hub.held.wait(60)
    second = started(hub, tmp_path, NAME)
    assert second.stdout is not None
    while "waiting for another pull of tiny-Q4_K_M.gguf" not in (line := second.stdout.readline()):
        assert line
    hub.released.set()
    assert finished(first)[-1]["path"] == finished(second)[-1]["path"]
    assert len(hub.transfers()) == 1


def test_the_offline_mode_uses_what_is_in_the_cache(hub: Hub, tmp_path: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1"}
    assert "has no org/repo; unset HF_HUB_OFFLINE" in finished(started(hub, tmp_path, NAME, **offline))[-1]["error"]
    path = finished(started(hub, tmp_path, NAME))[-1]["path"]
    before = len(hub.seen)
    assert finished(started(hub, tmp_path, NAME, **offline))[-1]["path"] == path
    assert len(hub.seen) == before


def test_the_environments_token_opens_the_hub(hub: Hub, tmp_path: Path) -> None:
    hub.token = TOKEN
    assert "error" in finished(started(hub, tmp_path, NAME))[-1]
    assert Path(finished(started(hub, tmp_path, NAME, HF_TOKEN=TOKEN))[-1]["path"]).is_file()


def test_memory_stays_small_whatever_the_size(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"big-Q4_K_M.gguf": Content(os.urandom(MEBI), 300)}
    told = finished(started(hub, tmp_path, "hf.co/org/repo"))
    path, peak = Path(told[-1]["path"]), told[-1]["peak"]
    assert path.stat().st_size == 300 * MEBI
    path.resolve().unlink()
    assert peak < 120 * MEBI
