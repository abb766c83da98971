"""Of two mistakes the one that Ollama sees first is told (contract §4.2), and what §6.7 says of generate."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import hoshikage, serve

BOTH = ("/api/generate", "/api/chat")
STORED = [{"role": "user", "content": "Q0"}, {"role": "assistant", "content": "A0"}]
OPTIONS = {"num_predict": 1, "temperature": 0}
KEEP_ALIVE = 'time: missing unit in duration "5"'
TOP_LOGPROBS = "top_logprobs must be between 0 and 20"
RAW = "raw mode does not support template, system, or context"
INSERT = "registry.ollama.ai/library/tiny:latest does not support insert"
OPTION = 'option "seed" must be of type integer'


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The models tiny, and told, which brings messages and a system text."""
    folder = tmp_path_factory.mktemp("order")
    tiny = make_tiny(folder / "tiny.gguf", window=1024)
    assert hoshikage(folder / "home", "add", str(tiny), "tiny").returncode == 0
    with serve(folder / "home") as program, program.client() as client:
        made = {"model": "told", "from": "tiny", "messages": STORED, "system": "S", "stream": False}
        assert client.post("/api/create", json=made).json() == {"status": "success"}
        yield client


def refused(client: httpx.Client, route: str, **body: Any) -> tuple[int, str]:
    reply = client.post(route, json=body)
    return reply.status_code, reply.json()["error"]


@pytest.mark.parametrize("route", BOTH)
def test_the_body_then_top_logprobs_then_the_model(client: httpx.Client, route: str) -> None:
    wrong: dict[str, Any] = {"model": "nope", "top_logprobs": 21, "keep_alive": "5"}
    assert refused(client, route, **wrong) == (400, KEEP_ALIVE)
    assert refused(client, route, **(wrong | {"keep_alive": None, "think": "x"}))[1].startswith("invalid think value")
    assert refused(client, route, **(wrong | {"keep_alive": None, "think": 5}))[1].startswith("think must be a bool")
    assert refused(client, route, **(wrong | {"keep_alive": None})) == (400, TOP_LOGPROBS)
    assert refused(client, route, **(wrong | {"keep_alive": None, "top_logprobs": 20}))[0] == 404


def test_raw_then_insert_then_options(client: httpx.Client) -> None:
    wrong = {"model": "tiny", "raw": True, "system": "x", "suffix": "x", "options": {"seed": "x"}}
    assert refused(client, "/api/generate", **wrong) == (400, RAW)
    assert refused(client, "/api/generate", **(wrong | {"raw": False})) == (400, INSERT)
    assert refused(client, "/api/generate", **(wrong | {"raw": False, "suffix": ""})) == (500, OPTION)


@pytest.mark.parametrize("route", BOTH)
def test_what_unloads_is_not_looked_at_further_and_what_loads_is(client: httpx.Client, route: str) -> None:
    wrong = {"model": "tiny", "raw": True, "system": "x", "suffix": "x", "options": {"seed": "x"}}
    assert client.post(route, json={**wrong, "keep_alive": 0}).json()["done_reason"] == "unload"
    assert refused(client, route, model="tiny", options={"seed": "x"}) == (500, OPTION)


@pytest.mark.parametrize("given", [{"template": "x"}, {"system": "x"}, {"context": [1]}])
def test_15_raw_takes_no_template_system_or_context(client: httpx.Client, given: dict[str, Any]) -> None:
    assert refused(client, "/api/generate", model="tiny", prompt="x", raw=True, **given) == (400, RAW)


def rendered(client: httpx.Client, route: str = "/api/generate", **body: Any) -> str:
    asked = {"model": "told", "options": OPTIONS, **body, "_debug_render_only": True}
    return str(client.post(route, json=asked).json()["_debug_info"]["rendered_template"])


def turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


OWN = turn("system", "S") + turn("user", "Q0") + turn("assistant", "A0")
ASKED = turn("user", "hi") + "<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, OWN + ASKED),
        ({"context": None}, OWN + ASKED),
        ({"context": []}, turn("system", "S") + ASKED),
        ({"context": [3]}, turn("system", "S") + ASKED),
        ({"system": "T"}, OWN.replace("S", "T", 1) + ASKED),
        ({"raw": True}, "hi"),
        ({"template": "{{ .System }}/{{ .Prompt }}", "context": []}, "S/hi"),
    ],
)
def test_context_even_an_empty_one_leaves_the_models_messages_out(
    client: httpx.Client, given: dict[str, Any], text: str
) -> None:
    assert rendered(client, prompt="hi", **given) == text


def test_a_chat_has_the_models_messages_after_its_own_system_text(client: httpx.Client) -> None:
    messages = [{"role": "system", "content": "T"}, {"role": "user", "content": "hi"}]
    assert rendered(client, "/api/chat", messages=messages) == OWN.replace("S", "T", 1) + ASKED
    assert rendered(client, "/api/chat", messages=messages[1:]) == OWN + ASKED


@pytest.mark.parametrize(("route", "empty"), [(BOTH[0], "response"), (BOTH[1], "message")])
def test_render_only_answers_one_object_and_generates_nothing(client: httpx.Client, route: str, empty: str) -> None:
    body = {"model": "Tiny", "prompt": "hi", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    reply = client.post(route, json={**body, "_debug_render_only": True})
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    found = reply.json()
    assert list(found) == ["model", "created_at", empty, "done", "_debug_info"]
    assert (found["model"], found["done"], found["_debug_info"]) == ("Tiny", False, {"rendered_template": ASKED})


def test_context_comes_before_the_prompt_and_the_reply_has_all_tokens(client: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "hi", "stream": False, "options": OPTIONS}
    first = client.post("/api/generate", json=body).json()
    again = client.post("/api/generate", json={**body, "context": first["context"]}).json()
    size = len(first["context"])
    assert again["context"][:size] == first["context"]
    assert again["prompt_eval_count"] == size + first["prompt_eval_count"]
    assert again["prompt_eval_cached_count"] >= size - 1
    assert len(again["context"]) == again["prompt_eval_count"] + again["eval_count"]


@pytest.mark.parametrize("route", BOTH)
@pytest.mark.parametrize("shift", [True, False, None])
def test_shift_is_taken_and_the_answer_ends_at_the_limit(client: httpx.Client, route: str, shift: bool | None) -> None:
    body = {"model": "tiny", "prompt": "hi", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    options = {"num_ctx": 64, "temperature": 0, "stop": []}
    found = client.post(route, json={**body, "shift": shift, "options": options}).json()
    assert found["prompt_eval_count"] + found["eval_count"] <= 64
    assert found["done_reason"] == ("length" if found["prompt_eval_count"] + found["eval_count"] == 64 else "stop")


def test_the_same_prompt_again_counts_its_cached_tokens_too(client: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "the same", "raw": True, "stream": False, "options": OPTIONS}
    first, again = (client.post("/api/generate", json=body).json() for _ in range(2))
    assert first["prompt_eval_count"] == again["prompt_eval_count"] == len("the same")
    assert again["prompt_eval_cached_count"] == len("the same") - 1
