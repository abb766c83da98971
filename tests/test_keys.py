"""API keys: what is on the disk, who sees a change, and what a broken file does."""

import hmac
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hoshikage.cli.serve import guarded
from hoshikage.errors import KeyNameTaken, KeyNotFound, KeysCorrupt
from hoshikage.keys import Keys, Scope
from hoshikage.settings import Settings
from tests.program import hoshikage


def settings(home: Path, **environ: str) -> Settings:
    return Settings.load(environ={"HOSHIKAGE_HOME": str(home), **environ}, cwd=home)


def test_the_disk_holds_only_hashes_that_nobody_else_may_read(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        key, secret = Keys(tmp_path).add("phone", [Scope.CHAT])
    finally:
        os.umask(umask)
    file = tmp_path / "keys.json"
    assert not [path for path in tmp_path.rglob("*") if secret.encode() in path.read_bytes()]
    assert json.loads(file.read_text())["keys"][0]["sha256"] == key.sha256
    file.chmod(0o644)
    Keys(tmp_path).revoke("phone")
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_two_secrets_or_ids_are_the_same_and_a_secret_has_256_bits(tmp_path: Path) -> None:
    made = [Keys(tmp_path).add(str(number), [Scope.CHAT]) for number in range(20)]
    assert len({secret for _, secret in made}) == len({key.id for key, _ in made}) == 20
    assert all(len(secret.removeprefix("hk-")) == 43 for _, secret in made)  # 43 characters of 6 bits


def test_a_change_by_another_process_or_by_hand_is_seen_at_once(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    assert not keys.ring().required
    secret = hoshikage(tmp_path, "key", "add", "phone").stdout.strip()
    found = keys.ring().match([secret.encode()])
    assert found is not None
    assert (found.name, found.scopes) == ("phone", (Scope.CHAT,))
    keys.file.write_text(keys.file.read_text().replace('"chat"', '"models"'))
    changed = keys.ring().match([secret.encode()])
    assert changed is not None
    assert (changed.id, changed.scopes) == (found.id, (Scope.MODELS,))


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"keys": [{"id": "a/b"}]}', '{"keys": [{"scopes": ["root"]}]}', "\xff"]
)
def test_a_file_broken_by_hand_takes_no_key_away_and_opens_nothing(tmp_path: Path, broken: str) -> None:
    opened, keys = Keys(tmp_path), Keys(tmp_path)
    assert not opened.ring().required
    _, secret = keys.add("phone", [Scope.CHAT])
    assert keys.ring().match([secret.encode()])
    keys.file.write_text(broken, encoding="latin-1")
    assert keys.ring().match([secret.encode()])
    assert (opened.ring().keys, opened.ring().required) == ((), True)
    with pytest.raises(KeysCorrupt, match=r"keys\.json"):
        Keys(tmp_path).ring()
    with pytest.raises(KeysCorrupt):
        Keys(tmp_path).add("other", [Scope.CHAT])
    assert keys.file.read_text(encoding="latin-1") == broken


def test_revoking_the_last_key_opens_nothing_until_that_is_asked_for(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    first, _ = keys.add("first", [Scope.CHAT])
    keys.add("second", [Scope.CHAT])
    assert keys.revoke(first.id) == (first, 1)
    keys.open()
    assert len(keys.ring().keys) == 1
    assert keys.revoke("second")[1] == 0
    assert (keys.ring().keys, keys.ring().required) == ((), True)
    keys.open()
    assert not keys.ring().required


def test_names_are_unique_and_an_unknown_one_is_said(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key, _ = keys.add("phone", [Scope.CHAT])
    for taken in ("phone", key.id):
        with pytest.raises(KeyNameTaken):
            keys.add(taken, [Scope.CHAT])
    with pytest.raises(KeyNotFound, match="hone"):
        keys.revoke("hone")


def test_a_known_and_an_unknown_secret_take_the_same_comparisons(tmp_path: Path) -> None:
    keys, compared = Keys(tmp_path), list[tuple[str, str]]()
    made = [keys.add(str(number), [Scope.CHAT]) for number in range(5)]

    def equal(ours: str, sent: str) -> bool:
        compared.append((ours, sent))
        return hmac.compare_digest(ours, sent)

    for secret in (made[0][1], made[4][1], "unknown", made[0][0].sha256, made[0][0].id):
        compared.clear()
        found = keys.ring().match([secret.encode()], equal)
        assert [ours for ours, _ in compared] == [key.sha256 for key, _ in made]
        assert {len(sent) for _, sent in compared} == {64}
        assert (found is not None) == secret.startswith("hk-")


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    names = [f"key-{number}" for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda name: hoshikage(tmp_path, "key", "add", name), names))
    assert [each.returncode for each in done] == [0] * 6
    assert {key.name for key in Keys(tmp_path).ring().keys} == set(names)


def test_a_use_is_written_only_when_it_is_flushed_and_never_over_another_servers(tmp_path: Path) -> None:
    one, other = Keys(tmp_path), Keys(tmp_path)
    first, _ = one.add("first", [Scope.CHAT])
    second, _ = one.add("second", [Scope.CHAT])
    before = sorted(tmp_path.iterdir())
    one.uses.note(first)
    other.uses.note(second)
    one.ring()
    assert sorted(tmp_path.iterdir()) == before
    one.uses.flush()
    other.uses.flush()
    assert set(Keys(tmp_path).uses.read()) == {first.id, second.id}
    assert (tmp_path / "keys_used.json").stat().st_mode & 0o777 == 0o600


def test_the_environments_secrets_may_do_everything_and_stay_out_of_the_settings(tmp_path: Path) -> None:
    found = settings(tmp_path, HOSHIKAGE_API_KEYS=" alpha-secret, 星の鍵 ,alpha-secret")
    assert "alpha-secret" not in repr(found)
    ring = Keys(tmp_path, found.api_keys).ring()
    keys = [ring.match([secret.encode()]) for secret in ("alpha-secret", "星の鍵", "other")]
    assert [key and key.may([Scope.MODELS]) for key in keys] == [True, True, None]
    assert (len(ring.keys), ring.required) == (2, True)
    assert [key.id for key in Keys(tmp_path, found.api_keys).ring().keys] == [key.id for key in ring.keys]


def test_a_server_for_other_machines_wants_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = settings(tmp_path, OLLAMA_HOST="0.0.0.0", HOSHIKAGE_LANG="en")
    assert guarded(settings(tmp_path), insecure=False)
    assert not guarded(outside, insecure=False)
    assert "`hoshikage key add NAME`" in capsys.readouterr().err
    assert guarded(outside, insecure=True)
    keys = Keys(tmp_path)
    keys.add("phone", [Scope.CHAT])
    assert guarded(outside, insecure=False)
    keys.revoke("phone")
    assert not guarded(outside, insecure=False)
    assert "nobody in" in capsys.readouterr().err
