"""Keys over HTTP on the real server: each dialect's refusals, and that nothing of one owner reaches another."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hoshikage.keys import Key, Keys, Scope
from tests.program import Program, hoshikage, serve

CANARY = "quokka-7731"
PROMPT = f"The password of the old lighthouse is {CANARY}, and nobody but the keeper has ever known it. " * 8
Named = tuple[Key, str]


@pytest.fixture(scope="module")
def program(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that started without keys and trusts this machine to name users."""
    with serve(tmp_path_factory.mktemp("home"), starter, TRUSTED_PROXIES="127.0.0.0/8") as running:
        Keys(running.home).add("first", [Scope.CHAT])
        yield running


@pytest.fixture
def made(program: Program) -> Iterator[dict[str, Named]]:
    """Two keys for chats, one for models, one for everything."""
    keys = Keys(program.home)
    scopes = {"A": Scope.CHAT, "B": Scope.CHAT, "models": Scope.MODELS, "admin": Scope.ADMIN}
    yield {name: keys.add(name, [scope]) for name, scope in scopes.items()}
    for name in scopes:
        keys.revoke(name)


def ask(program: Program, key: Named, prompt: str = PROMPT, **headers: str) -> Any:
    body = {"model": "starter", "prompt": prompt, "raw": True, "stream": False, "options": {"num_predict": 4}}
    reply = httpx.post(f"{program.url}/api/generate", json=body, headers=bearer(key) | headers, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.json()["hoshikage"]["cache"]


def bearer(key: Named) -> dict[str, str]:
    return {"authorization": f"Bearer {key[1]}"}


def test_a_missing_or_wrong_key_is_401_in_each_dialects_words(program: Program) -> None:
    for headers in ({}, {"authorization": "Bearer hk-wrong"}, {"x-api-key": "hk-wrong"}):
        ollama = httpx.get(f"{program.url}/api/tags", headers=headers)
        assert (ollama.status_code, ollama.text) == (401, '{"error":"unauthorized"}')
        openai = httpx.post(f"{program.url}/v1/chat/completions", json={}, headers=headers)
        error = openai.json()["error"]
        assert (openai.status_code, sorted(error)) == (401, ["code", "message", "param", "type"])
        assert (error["type"], error["code"], error["param"]) == ("authentication_error", "invalid_api_key", None)
        assert openai.headers["www-authenticate"] == "Bearer"


def test_preflights_and_what_clients_ask_first_need_no_key(program: Program) -> None:
    for method, path in (("GET", "/"), ("HEAD", "/"), ("GET", "/api/version"), ("HEAD", "/api/version")):
        assert httpx.request(method, f"{program.url}{path}").status_code == 200
    preflight = httpx.options(f"{program.url}/api/chat", headers={"origin": "http://localhost:3000"})
    assert (preflight.status_code, "X-Api-Key" in preflight.headers["access-control-allow-headers"]) == (204, True)
    refused = httpx.get(f"{program.url}/api/tags", headers={"origin": "http://localhost:3000"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "http://localhost:3000")
    assert httpx.get(f"{program.url}/api/nothing").status_code == 401


def test_a_scope_that_is_missing_is_403_and_named(program: Program, made: dict[str, Named]) -> None:
    asked = {
        ("A", "DELETE", "/api/delete"): "models",
        ("A", "GET", "/v1/status"): "admin",
        ("models", "POST", "/api/chat"): "chat",
        ("models", "POST", "/v1/chat/completions"): "chat",
    }
    for (name, method, path), scope in asked.items():
        reply = httpx.request(method, f"{program.url}{path}", headers=bearer(made[name]))
        assert (reply.status_code, reply.json()["error"] != "", scope in reply.text) == (403, True, True), path
        if path.startswith("/v1/"):
            error = reply.json()["error"]
            assert (error["type"], error["code"]) == ("permission_error", "missing_scope")
    for name in ("A", "models", "admin"):
        assert httpx.get(f"{program.url}/api/tags", headers=bearer(made[name])).status_code == 200
    assert httpx.get(f"{program.url}/v1/status", headers=bearer(made["admin"])).status_code == 200


def test_a_key_that_is_revoked_counts_no_more_and_no_restart_is_needed(program: Program) -> None:
    secret = hoshikage(program.home, "key", "add", "short", "--scopes", "chat,models").stdout.strip()
    headers = {"api-key": secret}
    assert httpx.get(f"{program.url}/api/tags", headers=headers).status_code == 200
    assert httpx.get(f"{program.url}/v1/models", headers=headers).status_code == 200
    assert hoshikage(program.home, "key", "revoke", "short").returncode == 0
    assert httpx.get(f"{program.url}/api/tags", headers=headers).status_code == 401


def test_nothing_that_one_key_has_said_reaches_another(program: Program, made: dict[str, Named]) -> None:
    a, b = made["A"], made["B"]
    first, again = ask(program, a), ask(program, a)
    assert (first["reason"], again["cached"] > 0) == ("miss_prefix", True)
    foreign = ask(program, b)
    assert (foreign["cached"], foreign["reason"]) == (0, "miss_prefix")
    assert ask(program, b, f"{PROMPT} And then")["cached"] > 0
    paths = ("/v1/status", "/api/ps", "/api/tags", "/v1/models")
    told = [httpx.get(f"{program.url}{path}", headers=bearer(made["admin"])) for path in paths]
    told += [httpx.get(f"{program.url}{path}", headers=bearer(b)) for path in paths[1:]]
    assert [reply.status_code for reply in told] == [200] * 7
    for reply in told:
        assert CANARY not in reply.text
        assert a[0].id not in reply.text


def test_openais_counts_tell_nothing_of_another_key_either(program: Program, made: dict[str, Named]) -> None:
    body = {"model": "starter", "messages": [{"role": "user", "content": f"Openly. {PROMPT}"}], "max_tokens": 2}

    def cached(key: Named) -> int:
        reply = httpx.post(f"{program.url}/v1/chat/completions", json=body, headers=bearer(key), timeout=60)
        return int(reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"])

    first, again = cached(made["A"]), cached(made["A"])
    assert again > first + 100  # the template's own beginning may be cached from the key's other chats
    assert cached(made["B"]) == 0


def test_a_snapshot_is_its_keys_own(program: Program, made: dict[str, Named]) -> None:
    a, b, prompt = made["A"], made["B"], f"Kept. {PROMPT}"
    ask(program, a, prompt)
    stop = {"model": "starter", "keep_alive": 0}
    httpx.post(f"{program.url}/api/generate", json=stop, headers=bearer(a), timeout=60)
    while httpx.get(f"{program.url}/v1/status", headers=bearer(made["admin"])).json()["models"]:
        time.sleep(0.05)
    foreign = ask(program, b, prompt)
    assert (foreign["cached"], foreign["reason"]) == (0, "miss_prefix")
    assert ask(program, a, prompt)["reason"] == "hit_snapshot"


def test_the_users_of_one_key_are_apart(program: Program, made: dict[str, Named]) -> None:
    a, prompt = made["A"], f"Apart. {PROMPT}"
    caches = [ask(program, a, prompt, **{"X-OpenWebUI-User-Id": user}) for user in ("anna", "bert", "anna")]
    assert [each["cached"] > 0 for each in caches] == [False, False, True]
    assert ask(program, a, prompt)["reason"] == "miss_prefix"


def test_the_commands_use_the_key_of_their_environment(program: Program, made: dict[str, Named]) -> None:
    home, secret = program.home, made["A"][1]
    for command in (["ps"], ["stop", "starter"], ["run", "starter", "hi"]):
        done = hoshikage(home, *command)
        assert (done.returncode, "HOSHIKAGE_API_KEY" in done.stderr) == (1, True), done.stderr
        assert "Traceback" not in done.stderr
    assert hoshikage(home, "run", "starter", "Say hi.", OLLAMA_API_KEY=secret).returncode == 0
    assert "starter:latest" in hoshikage(home, "ps", HOSHIKAGE_API_KEY=secret, OLLAMA_API_KEY="wrong").stdout
    version = hoshikage(home, "--version", HOSHIKAGE_LANG="en", HOSHIKAGE_API_KEY=secret)
    assert (version.returncode, "lacks the scope: admin" in version.stderr) == (0, True)
    assert hoshikage(home, "stop", "starter", HOSHIKAGE_API_KEY=secret).returncode == 0


def test_when_a_key_was_used_last_is_known_after_the_server_stopped(starter: Path, tmp_path: Path) -> None:
    key, secret = Keys(tmp_path).add("phone", [Scope.CHAT])
    Keys(tmp_path).add("tablet", [Scope.CHAT])
    with serve(tmp_path) as running:
        for _ in range(3):
            assert httpx.get(f"{running.url}/api/tags", headers={"x-api-key": secret}).status_code == 200
        assert not (tmp_path / "keys_used.json").exists()
    listed = hoshikage(tmp_path, "key", "list").stdout
    rows = {line.split()[1]: line for line in listed.splitlines()[1:]}
    assert ("ago" in rows["phone"].rpartition("ago")[1], "Never" in rows["tablet"]) == (True, True)
    assert (key.id in rows["phone"], secret in listed, key.sha256 in listed) == (True, False, False)
