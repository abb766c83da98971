"""The queue over HTTP: the refusals of each dialect, quotas of keys, clients that leave."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hoshikage.keys import Keys, Quota, Scope
from tests.crowd import LONG, SHORT, bearer, busy, is_served, queue, until_inside
from tests.program import Program, hoshikage, serve

BOSS = "the-key-of-the-environment"
CHAT = {"model": "starter", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 4}
FULL = "server busy, please try again.  maximum pending requests exceeded"


@pytest.fixture(scope="module")
def program(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One runs, two wait; no keys."""
    with serve(tmp_path_factory.mktemp("home"), starter, NUM_PARALLEL="1", MAX_QUEUE="2") as running:
        yield running


@pytest.fixture(scope="module")
def keyed(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One runs, four wait, two of each key."""
    home = tmp_path_factory.mktemp("keyed")
    with serve(home, starter, NUM_PARALLEL="1", MAX_QUEUE="4", HOSHIKAGE_API_KEYS=BOSS) as running:
        yield running


async def ask(program: Program, path: str, body: object, key: str = "") -> httpx.Response:
    async with httpx.AsyncClient(base_url=program.url, timeout=60, headers=bearer(key)) as client:
        return await client.post(path, json=body)


async def test_a_full_queue_is_said_in_each_dialects_words(program: Program) -> None:
    async with busy(program, 3):
        ollama = await ask(program, "/api/generate", SHORT)
        loading = await ask(program, "/api/generate", {"model": "starter"})
        openai = await ask(program, "/v1/chat/completions", CHAT)
    for reply in (ollama, loading):
        assert (reply.status_code, reply.json()) == (503, {"error": FULL})
    error = openai.json()["error"]
    assert (openai.status_code, error["type"], error["code"]) == (503, "server_error", "overloaded")
    assert all(1 <= int(reply.headers["retry-after"]) <= 600 for reply in (ollama, loading, openai))
    assert await asyncio.to_thread(is_served, program)


async def test_the_template_of_a_request_that_may_not_enter_is_not_read(program: Program) -> None:
    unreadable = {"model": "starter", "prompt": "Hi", "template": "{{"}
    async with busy(program, 3):
        refused = await ask(program, "/api/generate", unreadable)
    assert (refused.status_code, refused.json()) == (503, {"error": FULL})
    assert "template" in (await ask(program, "/api/generate", unreadable)).json()["error"]


async def test_the_queue_of_a_loaded_model_is_bounded_and_retry_after_is_measured(program: Program) -> None:
    assert await asyncio.to_thread(is_served, program)
    assert "starter:latest" in program.listed()
    async with busy(program, 3):
        before = queue(program)
        refused = await ask(program, "/api/generate", SHORT)
        after = queue(program)
    ahead, rounding = before["running"] + before["waiting"], 0.001
    soonest, latest = ahead / (before["per_second"] + rounding), ahead / (after["per_second"] - rounding)
    assert (refused.status_code, ahead) == (503, 3)
    assert min(soonest, 600) <= int(refused.headers["retry-after"]) <= max(latest, 0) + 1


async def test_a_client_that_leaves_frees_its_place_at_once(program: Program) -> None:
    async with busy(program, 3) as tasks:
        assert (queue(program)["running"], queue(program)["waiting"]) == (1, 2)
        tasks[1].cancel()
        await until_inside(program, 2)
        waiting = asyncio.create_task(ask(program, "/api/generate", {**LONG, "stream": False}))
        await until_inside(program, 3)
        waiting.cancel()
        await until_inside(program, 2)
    assert queue(program)["left_total"] >= 2


async def test_a_client_that_leaves_while_the_model_is_loaded_frees_its_place(program: Program) -> None:
    await ask(program, "/api/generate", {"model": "starter", "keep_alive": 0})
    left = queue(program)["left_total"]
    async with busy(program, 3) as tasks:
        tasks[2].cancel()
        await until_inside(program, 2)
    assert queue(program)["left_total"] > left
    assert await asyncio.to_thread(is_served, program)


async def test_a_key_over_its_quota_gets_429_and_the_others_do_not(keyed: Program) -> None:
    _, one = Keys(keyed.home).add("one", [Scope.CHAT], Quota(at_once=1))
    _, two = Keys(keyed.home).add("two", [Scope.CHAT], Quota(per_minute=1))
    async with busy(keyed, 1, BOSS):
        first = asyncio.create_task(ask(keyed, "/api/generate", LONG, one))
        await until_inside(keyed, 2, BOSS)
        ollama = await ask(keyed, "/api/generate", SHORT, one)
        openai = await ask(keyed, "/v1/chat/completions", CHAT, one)
        first.cancel()
    allowed, many = [await ask(keyed, "/api/generate", SHORT, two) for _ in range(2)]
    assert [reply.status_code for reply in (ollama, openai, allowed, many)] == [429, 429, 200, 429]
    assert "at most 1 at once" in ollama.json()["error"]
    error = openai.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(openai.headers["retry-after"]) <= 600
    assert 50 <= int(many.headers["retry-after"]) <= 60


async def test_one_key_cannot_fill_the_queue(keyed: Program) -> None:
    other = Keys(keyed.home).add("other", [Scope.CHAT])[1]
    async with busy(keyed, 3, BOSS):
        refused = await ask(keyed, "/api/generate", SHORT, BOSS)
        waiting = asyncio.create_task(ask(keyed, "/api/generate", SHORT, other))
        await until_inside(keyed, 4, BOSS)
        found = queue(keyed, BOSS)
    assert (refused.status_code, "at most 2 may wait" in refused.json()["error"]) == (429, True)
    assert (await waiting).status_code == 200
    assert (found["refused_total"]["key_queue"], found["max_waiting"]) == (1, 4)


def test_quotas_are_kept_with_the_key_and_shown(tmp_path: Path) -> None:
    hoshikage(tmp_path, "key", "add", "old")
    made = hoshikage(tmp_path, "key", "add", "phone", "--at-once", "2", "--per-minute", "30")
    assert made.returncode == 0, made.stderr
    heading, old, phone = hoshikage(tmp_path, "key", "list").stdout.splitlines()
    assert ("QUOTA" in heading, "2 at once, 30 a minute" in phone, "at once" in old) == (True, True, False)
    for wrong in ("0", "-1", "many"):
        assert hoshikage(tmp_path, "key", "add", "x", "--at-once", wrong).returncode == 2


def test_a_key_file_from_before_quotas_is_read(tmp_path: Path) -> None:
    text = '{"keys": [{"id": "k", "name": "n", "sha256": "%s", "scopes": ["chat"], "created": 1}]}' % ("0" * 64)
    (tmp_path / "keys.json").write_text(text)
    assert Keys(tmp_path).quota("k") == Quota()
    assert Keys(tmp_path).quota("local") is None
