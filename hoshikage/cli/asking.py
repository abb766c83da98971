"""Asks the running server over HTTP. It knows no command and prints nothing."""

import http.client
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TypeVar

import msgspec
from msgspec import Struct

from hoshikage.errors import HoshikageError, KeyRefused, ModelNotFound, RequestError

T = TypeVar("T")


class Detail(Struct):
    message: str


class Fault(Struct):
    """Why something was refused, in Ollama's shape or in OpenAI's."""

    error: str | Detail


def asked(
    address: str,
    path: str,
    kind: type[T],
    body: Mapping[str, object] | None = None,
    timeout_seconds: float | None = None,
) -> T:
    """The server's answer, a JSON object. Raises what `reply` raises."""
    with reply(address, path, body, timeout_seconds) as answer:
        return msgspec.json.decode(answer.read(), type=kind)


def asked_lines(address: str, path: str, body: Mapping[str, object]) -> Iterator[bytes]:
    """The lines of a streamed answer. Raises what `reply` raises."""
    with reply(address, path, body) as answer:
        yield from answer


@contextmanager
def reply(
    address: str, path: str, body: Mapping[str, object] | None = None, timeout_seconds: float | None = None
) -> Iterator[http.client.HTTPResponse]:
    """POST with a body, else GET.

    Raises OSError, ModelNotFound for a 404, KeyRefused for a 401, or RequestError with the server's text.
    """
    url = urllib.parse.urlsplit(address)
    link = http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout_seconds)
    with closing(link):
        data = None if body is None else msgspec.json.encode(body)
        headers = {"content-type": b"application/json", **credentials(os.environ)}
        link.request("GET" if data is None else "POST", path, data, headers)
        answer = link.getresponse()
        if answer.status >= http.client.BAD_REQUEST:
            raise refusal(answer, body or {})
        yield answer


def refusal(answer: http.client.HTTPResponse, body: Mapping[str, object]) -> HoshikageError:
    data = answer.read()
    if answer.status == http.client.UNAUTHORIZED:
        return KeyRefused()
    try:
        error = msgspec.json.decode(data, type=Fault).error
        reason = error.message if isinstance(error, Detail) else error
    except msgspec.MsgspecError:
        reason = f"{answer.status} {answer.reason}"
    if answer.status == http.client.NOT_FOUND and "model" in body and "not found" in reason:
        return ModelNotFound(name=body["model"])
    return RequestError(reason=reason)


def credentials(environ: Mapping[str, str]) -> dict[str, bytes]:
    """The header with the user's API key, if there is one; Ollama's clients take it from OLLAMA_API_KEY."""
    key = "".join((environ.get("HOSHIKAGE_API_KEY") or environ.get("OLLAMA_API_KEY") or "").split())
    return {"authorization": b"Bearer " + os.fsencode(key)} if key else {}
