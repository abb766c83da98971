"""Vectors 1 to 6 of the contract: routing, Host and Origin."""

import http.client

import httpx
import pytest

from tests.program import Program


def test_vector_01_the_root_says_that_ollama_is_running(client: httpx.Client) -> None:
    assert client.head("/").status_code == 200
    assert client.get("/").content == b"Ollama is running"


def test_vector_02_an_unknown_path_is_a_plain_404(client: httpx.Client) -> None:
    reply = client.get("/api/nope")
    assert (reply.status_code, reply.text) == (404, "404 page not found")
    assert reply.headers["content-type"] == "text/plain"


def test_vector_03_a_wrong_method_is_a_405_with_allow(client: httpx.Client) -> None:
    reply = client.get("/api/show")
    assert (reply.status_code, reply.text, reply.headers["allow"]) == (405, "405 method not allowed", "POST")


def test_vector_04_a_slash_at_the_end_moves(client: httpx.Client) -> None:
    reply = client.get("/api/tags/")
    assert (reply.status_code, reply.headers["location"]) == (301, "/api/tags")


@pytest.mark.parametrize(("host", "status"), [("evil.example", 403), ("foo.local", 200), ("192.168.1.9", 200)])
def test_vector_05_only_hosts_of_this_machine_and_its_network_are_served(
    client: httpx.Client, host: str, status: int
) -> None:
    reply = client.get("/api/tags", headers={"Host": host})
    assert reply.status_code == status
    assert status == 200 or reply.content == b""


def test_vector_06_a_known_origin_is_echoed_and_a_foreign_one_refused(client: httpx.Client) -> None:
    assert client.get("/api/tags", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/api/tags", headers={"Origin": "chrome-extension://x"}).status_code == 403
    local = {"Origin": "http://localhost:3000"}
    reply = client.get("/api/tags", headers=local)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "http://localhost:3000")
    preflight = client.options("/api/chat", headers={**local, "Access-Control-Request-Method": "POST"})
    assert (preflight.status_code, preflight.headers["access-control-max-age"]) == (204, "43200")


def test_every_path_is_cleaned_before_it_is_routed(server: Program) -> None:
    for path in ("//api/tags", "/api//tags", "/api/../api/tags"):  # httpx would clean them itself
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        connection.request("POST", path)
        answer = connection.getresponse()
        connection.close()
        assert (answer.status, answer.getheader("location")) == (307, "/api/tags")


def test_options_is_answered_to_a_name_and_a_method_like_any_other_to_an_address(client: httpx.Client) -> None:
    assert client.options("/api/show", headers={"Host": "localhost"}).status_code == 204
    reply = client.options("/api/show")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
