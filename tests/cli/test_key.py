"""`hoshikage key`, and `serve` where its keys do not allow it, as a user runs them."""

from pathlib import Path

import pytest

from tests.program import hoshikage


def test_the_secret_alone_is_printed_once_and_the_rest_said_beside_it(tmp_path: Path) -> None:
    done = hoshikage(tmp_path, "key", "add", "私の電話", "--scopes", "models,chat")
    secret = done.stdout.removesuffix("\n")
    assert (done.returncode, secret[:3], len(secret)) == (0, "hk-", 46)
    assert "私の電話" in done.stderr
    assert "models,chat" in done.stderr
    listed = hoshikage(tmp_path, "key", "list", HOSHIKAGE_API_KEYS="alpha,beta").stdout
    assert (secret in listed, listed.count("HOSHIKAGE_API_KEYS"), listed.count("models,chat")) == (False, 2, 1)
    assert "私の電話" in hoshikage(tmp_path, "key", "revoke", "私の電話").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add"], 2, "hoshikage key add NAME"),
        (["list", "phone"], 2, "hoshikage key list"),
        (["add", "x", "--scopes", "root"], 2, "chat, models, admin"),
        (["burn"], 2, "burn"),
        (["add", "phone"], 1, "already"),
        (["revoke", "hone"], 1, "hoshikage key list"),
        (["open"], 1, "still 1 keys"),
    ],
)
def test_a_mistake_is_said_and_changes_nothing(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    hoshikage(tmp_path, "key", "add", "phone")
    before = (tmp_path / "keys.json").read_bytes()
    done = hoshikage(tmp_path, "key", *arguments, HOSHIKAGE_LANG="en")
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr
    assert (tmp_path / "keys.json").read_bytes() == before


def test_serve_refuses_what_its_keys_do_not_allow_before_it_listens(tmp_path: Path) -> None:
    done = hoshikage(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, done.stdout, "hoshikage key add" in done.stderr) == (1, "", True)
    (tmp_path / "keys.json").write_text("{")
    done = hoshikage(tmp_path, "serve", "--port", "0")
    assert (done.returncode, done.stdout, "keys.json" in done.stderr) == (1, "", True)
    done = hoshikage(tmp_path, "serve", "--port", "0", TRUSTED_PROXIES="10.0.0.1/8")
    assert (done.returncode, "10.0.0.0/8 are allowed" in done.stderr) == (2, True)
