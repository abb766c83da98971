"""`format` and `response_format` over HTTP, with the real engine: what they give, and what they refuse."""

import json
import threading
from typing import Any

import httpx
import pytest

from tests.program import Program

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "size": {"enum": ["big", "small"]}},
    "required": ["city", "size"],
    "additionalProperties": False,
}
ASKED = [{"role": "user", "content": "Name a city, as JSON."}]
SHORT = {"num_predict": 80, "seed": 1}
Refusals = dict[str, tuple[str, dict[str, Any]]]


@pytest.fixture
def client(server: Program) -> Any:
    with server.client() as client:
        yield client


def ollama(client: httpx.Client, route: str = "/api/chat", **more: Any) -> httpx.Response:
    body = {"model": "starter", "messages": ASKED, "prompt": "Name a city.", "stream": False, "options": SHORT}
    return client.post(route, json={**body, **more})


def openai(client: httpx.Client, response_format: Any, **more: Any) -> httpx.Response:
    body = {"model": "starter", "messages": ASKED, "max_tokens": 80, "seed": 1, "response_format": response_format}
    return client.post("/v1/chat/completions", json={**body, **more})


def as_json_schema(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, **more}}


def is_city(text: str) -> bool:
    found = json.loads(text)
    return list(found) == ["city", "size"] and isinstance(found["city"], str) and found["size"] in {"big", "small"}


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_schema_as_format_gives_what_it_describes(client: httpx.Client, temperature: float) -> None:
    options = {**SHORT, "temperature": temperature}
    chat = ollama(client, format=CITY, options=options).json()
    assert is_city(chat["message"]["content"])
    assert chat["done_reason"] == "stop"
    assert is_city(ollama(client, "/api/generate", format=CITY, options=options).json()["response"])


def test_a_stream_with_a_schema_joins_to_it(client: httpx.Client) -> None:
    lines = [json.loads(line) for line in ollama(client, format=CITY, stream=True).text.splitlines()]
    assert len(lines) > 5
    assert is_city("".join(line["message"]["content"] for line in lines))


def test_json_as_format_begins_an_object(client: httpx.Client) -> None:
    for reply in (ollama(client, format="json"), ollama(client, "/api/generate", format="json")):
        found = reply.json()
        assert found.get("response", found.get("message", {}).get("content")).startswith("{")


@pytest.mark.parametrize("format_", [None, ""])
def test_no_format_is_free_text(client: httpx.Client, format_: Any) -> None:
    text = ollama(client, format=format_).json()["message"]["content"]
    assert text
    assert not text.startswith("{")


@pytest.mark.parametrize(
    ("format_", "raw"), [("xml", r"\"xml\""), (5, "5"), (True, "true"), ([1, "a"], r"[1,\"a\"]"), (["x" * 999], None)]
)
def test_what_is_no_format_gets_the_contracts_words(client: httpx.Client, format_: Any, raw: str | None) -> None:
    reply = ollama(client, format=format_)
    assert reply.status_code == 500
    assert reply.json()["error"].startswith('invalid format: "')
    if raw is not None:
        assert reply.json()["error"] == f'invalid format: "{raw}"; expected "json" or a valid JSON Schema object'


def test_what_is_no_format_is_said_when_something_is_generated(client: httpx.Client) -> None:
    kinds = [ollama(client, format="xml", stream=stream).headers["content-type"] for stream in (True, False)]
    assert kinds == ["application/json", "application/json; charset=utf-8"]
    for route in ("/api/chat", "/api/generate"):
        assert client.post(route, json={"model": "starter", "format": "xml"}).json()["done_reason"] == "load"


@pytest.mark.parametrize("strict", [None, False, True])
def test_a_json_schema_as_response_format_gives_what_it_describes(client: httpx.Client, strict: Any) -> None:
    choice = openai(client, as_json_schema(CITY, strict=strict)).json()["choices"][0]
    assert is_city(choice["message"]["content"])
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "response_format",
    [{"type": "json_object", "schema": CITY}, {"type": "json_schema", "json_schema": {"schema": CITY}}],
)
def test_forms_that_other_servers_take_are_taken(client: httpx.Client, response_format: Any) -> None:
    assert is_city(openai(client, response_format).json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("response_format", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {}}])
def test_without_a_schema_any_object_will_do(client: httpx.Client, response_format: Any) -> None:
    assert openai(client, response_format).json()["choices"][0]["message"]["content"].startswith("{")


@pytest.mark.parametrize("response_format", [None, {}, {"type": "text"}])
def test_text_as_response_format_is_free(client: httpx.Client, response_format: Any) -> None:
    assert openai(client, response_format).status_code == 200


def test_what_of_a_schema_is_not_enforced_is_said(client: httpx.Client) -> None:
    schema = {**CITY, "not": {"required": ["x"]}}
    for reply in (ollama(client, format=schema), openai(client, as_json_schema(schema))):
        assert reply.headers["x-hoshikage-warning"] == "schema-ignored=not"
    error = openai(client, as_json_schema(schema, strict=True)).json()["error"]
    assert (error["param"], error["code"]) == ("response_format.json_schema.schema", "invalid_constraint")
    assert '"not"' in error["message"]


def nested(levels: int) -> str:
    return '{"not":' * levels + "{}" + "}" * levels


HOSTILE = {
    "20,000 deep": nested(20_000),
    "900 deep": nested(900),
    "120 deep": nested(120),
    "1 MB": json.dumps({"enum": ["x" * 1_000_000]}),
    "60,000 groups": json.dumps({"type": "string", "pattern": "(" * 60_000 + "x" + ")" * 60_000}),
    "a remote reference": '{"$ref":"http://127.0.0.1:9/x.json"}',
    "an unknown type": '{"type":"hiccup"}',
    "a number too big": '{"maximum":1' + "0" * 400 + ',"type":"integer","minimum":2' + "0" * 400 + "}",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("dialect", ["/api/chat", "/api/generate", "/v1/chat/completions"])
def test_hostile_schemas_are_400_and_every_process_lives(
    server: Program, client: httpx.Client, dialect: str, name: str
) -> None:
    brief: dict[str, Any] = {"options": {"num_predict": 8, "seed": 1}}
    worker, schema = server.worker_pid() or warmed(server), HOSTILE[name]
    other = threading.Thread(target=lambda: replies.append(ollama(client, **brief)))
    replies: list[httpx.Response] = []
    other.start()
    form = f'"format":{schema}' if dialect.startswith("/api") else as_form(schema)
    reply = client.post(dialect, content=f'{{"model":"starter","messages":{json.dumps(ASKED)},"prompt":"x",{form}}}')
    other.join()
    assert (reply.status_code, replies[0].status_code) == (400, 200), reply.text
    assert (server.worker_pid(), server.process.poll()) == (worker, None)


def warmed(server: Program) -> int | None:
    with server.client() as client:
        ollama(client, options={"num_predict": 1})
    return server.worker_pid()


def as_form(schema: str) -> str:
    return f'"response_format":{{"type":"json_schema","json_schema":{{"name":"x","schema":{schema}}}}}'


def test_a_lone_surrogate_in_a_deep_schema_is_no_500(client: httpx.Client) -> None:
    body = '{"model":"starter","messages":[],"format":' + nested(900) + r',"keep":"\ud800"}'
    assert client.post("/api/chat", content=body).status_code in {200, 400}
