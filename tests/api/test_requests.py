"""Real request bodies of real clients: nothing that matters is lost, and the server answers them."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from hoshikage.api.errors import OpenAIFault
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.options import options_of
from hoshikage.api.ollama.wire import ChatRequest, GenerateRequest, ShowRequest, check, to_chat, to_completion
from hoshikage.api.ollama.wire_embed import EmbedRequest, texts_of
from hoshikage.api.ollama.wire_manage import CopyRequest, CreateRequest, DeleteRequest, PullRequest, PushRequest
from hoshikage.api.openai.options import sampling_of
from hoshikage.api.openai.wire import decode as decode_openai
from hoshikage.api.openai.wire import to_ask
from hoshikage.conversation import ChatRequest as Chat
from hoshikage.conversation import Request
from tests.program import Program
from tests.recorded import ALL, Recorded, answered, recorded

SHAPES: dict[str, Any] = {
    "/api/show": ShowRequest,
    "/api/pull": PullRequest,
    "/api/create": CreateRequest,
    "/api/copy": CopyRequest,
    "/api/delete": DeleteRequest,
    "/api/push": PushRequest,
}


def spelled(options: Mapping[str, Any]) -> dict[str, str]:
    """8.0 is not 8 here, since the engine tells them apart; a token's id is text in JSON."""
    plain = {
        name: {int(k): float(v) for k, v in value.items()} if name == "logit_bias" else value
        for name, value in options.items()
    }
    return {name: repr(value) for name, value in plain.items()}


def same_request(found: Request, expect: dict[str, Any]) -> None:
    """What generate and chat have in common."""
    kept = {None: None, "for ever": math.inf}
    assert found.model == expect["model"]
    assert spelled(found.options) == spelled(expect["options"])
    assert found.keep_alive == kept.get(expect.get("keep_alive"), expect.get("keep_alive"))
    assert (found.constraint.kind if found.constraint else None) == expect.get("format")
    assert found.logprobs == expect.get("logprobs")


def same_messages(found: Chat, given: Recorded) -> None:
    texts = [message.get("content") or "" for message in given.body.get("messages", ())]
    assert [message.role for message in found.messages] == given.expect["roles"]
    assert [message.content for message in found.messages] == given.expect.get("texts", texts)


def seen(given: Recorded) -> bool:
    return "images" not in given.expect


@pytest.mark.parametrize("given", [each for each in recorded("/api/chat") if seen(each.values[0])])
def test_a_chat_is_read_whole(given: Recorded) -> None:
    asked = decode(given.content, ChatRequest)
    check(asked)
    assert asked.stream is given.expect["stream"]
    chat = to_chat(asked, "me")
    same_request(chat, given.expect)
    same_messages(chat, given)
    assert (chat.think, chat.truncate) == (given.expect.get("think"), True)


def named(found: Chat) -> list[str]:
    return [str(tool["function"]["name"]) for tool in found.tools if isinstance(tool["function"], Mapping)]


@pytest.mark.parametrize("given", [each for each in recorded("/api/chat") if seen(each.values[0])])
def test_tools_calls_and_their_results_arrive(given: Recorded) -> None:
    chat = to_chat(decode(given.content, ChatRequest), "me")
    assert named(chat) == given.expect.get("tools", [])
    calls = [call.name for message in chat.messages for call in message.tool_calls]
    assert calls == given.expect.get("calls", [])
    for message, sent in zip(chat.messages, given.body.get("messages", ()), strict=False):
        functions = [call["function"] for call in sent.get("tool_calls") or ()]
        assert [(call.name, call.arguments) for call in message.tool_calls] == [
            (each["name"], each["arguments"]) for each in functions
        ]
        told = {name: sent.get(name) or "" for name in ("thinking", "tool_name", "tool_call_id")}
        assert (message.thinking, message.tool_name, message.tool_call_id) == tuple(told.values())


@pytest.mark.parametrize("given", recorded("/api/embed", "/api/embeddings"))
def test_a_request_for_embeddings_is_read_whole(given: Recorded) -> None:
    expect = given.expect
    asked = decode(given.content, EmbedRequest)
    assert asked.model == expect["model"]
    assert list(texts_of(asked)) == (
        [expect["input"]] if isinstance(expect.get("input"), str) else expect.get("input", [expect.get("prompt")])
    )
    assert (asked.truncate, asked.dimensions) == (expect.get("truncate", True), expect.get("dimensions", 0))
    assert asked.keep_alive_seconds == expect.get("keep_alive")
    assert spelled(options_of(asked.options)) == spelled(expect["options"])


@pytest.mark.parametrize("given", recorded("/api/generate"))
def test_a_generate_request_is_read_whole(given: Recorded) -> None:
    asked = decode(given.content, GenerateRequest)
    check(asked)
    assert (asked.stream, asked.think) == (given.expect["stream"], given.expect.get("think"))
    assert (asked.suffix, len(asked.images)) == (given.expect.get("suffix", ""), given.expect.get("images", 0))
    found = to_completion(asked, "me")
    same_request(found, given.expect)
    assert found.prompt == given.body.get("prompt", "")
    assert (found.system, found.template) == (given.expect.get("system"), given.expect.get("template"))
    assert (found.raw, list(found.context or ())) == (given.expect.get("raw", False), given.expect.get("context", []))
    assert (found.suffix, found.think) == (asked.suffix, asked.think)


@pytest.mark.parametrize("given", recorded(*SHAPES))
def test_a_request_about_models_is_read_whole(given: Recorded) -> None:
    asked = decode(given.content, SHAPES[given.path])
    found = {name: getattr(asked, name) for name in given.expect}
    if "messages" in found:
        found["messages"] = len(found["messages"])
    assert found == given.expect


@pytest.mark.parametrize("given", [each for each in recorded("/v1/chat/completions") if not each.values[0].refused])
def test_an_openai_chat_is_read_whole(given: Recorded) -> None:
    body, expect = given.content, given.expect
    ask = to_ask(decode_openai(body), sampling_of(body), "me")
    same_request(ask.chat, expect)
    assert (ask.stream, ask.include_usage) == (expect["stream"], expect.get("usage", False))
    assert [message.role for message in ask.chat.messages] == expect["roles"]
    assert all(message.content for message in ask.chat.messages)
    assert ask.warnings == (("tools-ignored",) if "tools" in expect else ())


@pytest.mark.parametrize("given", [each for each in recorded("/v1/chat/completions") if each.values[0].refused])
def test_what_v1_cannot_do_yet_is_refused_by_the_fields_name(given: Recorded) -> None:
    with pytest.raises(OpenAIFault) as told:
        to_ask(decode_openai(given.content), sampling_of(given.content), "me")
    assert (told.value.status, told.value.detail.param) == (400, given.refused)


def test_every_file_tells_where_it_is_from_and_names_no_machine() -> None:
    assert len(ALL) > 60
    for each in ALL:
        assert each.client
        assert each.origin.split(":")[0] in {"recorded", "written"}
        assert set(each.headers) <= {"content-type", "accept", "user-agent", "authorization"} | {
            name for name in each.headers if name.startswith("x-")
        }


@pytest.fixture(scope="module")
def client(server: Program) -> Iterator[httpx.Client]:
    """Of a server whose model is loaded, so that no body sets how; afterwards it is not kept for ever."""
    with server.client() as client:
        client.post("/api/chat", json={"model": "starter"})
        yield client
        client.post("/api/chat", json={"model": "starter", "keep_alive": "5m"})


@pytest.mark.parametrize("given", answered())
def test_a_body_is_answered(client: httpx.Client, given: Recorded) -> None:
    reply = client.request(given.method, given.path, content=given.bounded(), headers=given.headers)
    assert reply.status_code == given.answer, reply.text
    if given.answer >= 400:
        assert given.method == "HEAD" or reply.json()["error"]
    elif given.path.startswith("/api/") and given.expect.get("stream"):
        last = json.loads(reply.text.splitlines()[-1])
        assert last["done"] is True
        assert last["done_reason"] in {"stop", "length", "load"}
    elif given.path == "/v1/chat/completions" and given.expect["stream"]:
        assert reply.text.endswith("data: [DONE]\n\n")
