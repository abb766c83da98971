"""Error class -> status -> each dialect's body: the one table."""

import logging

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from hoshikage import errors
from hoshikage.api.http import json_reply, services

log = logging.getLogger("hoshikage.api")

STATUS: dict[type[errors.HoshikageError], int] = {
    errors.Overloaded: 503,
    errors.CoolingDown: 503,
    errors.NotEnoughMemory: 503,
    errors.QuotaExceeded: 429,
    errors.ModelNotFound: 404,
    errors.FileMissing: 404,
    errors.BadName: 400,
    errors.BadSource: 400,
    errors.CloudDisabled: 403,
    errors.KeyRefused: 401,
    errors.ScopeMissing: 403,
    errors.RequestError: 400,
    errors.TemplateFailed: 400,
}
"""Looked up along the class's ancestors; 500 for the rest."""

RETRY_AFTER_SECONDS = 5
"""Where the error does not know better."""
OLLAMA_TEXTS = {errors.BadName: "invalid model name", errors.KeyRefused: "unauthorized"}
JSON = "application/json"
JSON_UTF8 = "application/json; charset=utf-8"
IN_STREAM = "in_stream"
"""Where the state of a request holds the errors that would be a line of its stream, were it not for their status."""
ASKED_MODEL = "asked_model"
"""Where the state of a request holds the name of the model that is to run, as the client spells it."""
METHODS = ("HEAD", "GET", "POST", "DELETE")
CLIENT_CLOSED_REQUEST = 499

CODED = {400, 401, 403, 404, 429, 503}
"""Statuses whose bodies name the error on /v1."""

OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    429: "rate_limit_error",
}


class OllamaError(Struct):
    error: str


class OpenAIDetail(Struct):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIError(Struct):
    error: OpenAIDetail


class OllamaFault(Exception):
    """A refusal whose status and text are the Ollama contract's own."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(text)


class StreamFault(OllamaFault):
    """A refusal that takes the place of a stream's first line."""


class OpenAIFault(Exception):
    """A refusal with the field it is about."""

    def __init__(self, text: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        self.status = status
        self.detail = OpenAIDetail(text, OPENAI_TYPES.get(status, "server_error"), param, code)
        super().__init__(text)


def status_of(error: errors.HoshikageError) -> int:
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)


def openai_body(error: errors.HoshikageError) -> OpenAIError:
    status = status_of(error)
    kind = OPENAI_TYPES.get(status, "server_error")
    param = "model" if isinstance(error, errors.ModelNotFound) else error.data.get("field")
    code = "overloaded" if isinstance(error, errors.Overloaded) else error.code if status in CODED else None
    return OpenAIError(OpenAIDetail(str(error), kind, None if param is None else str(param), code))


def for_openai(request: Request) -> bool:
    return request.url.path.startswith("/v1/")


async def on_hoshikage_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.HoshikageError):
        raise error
    status = status_of(error)
    if status >= 500 and not isinstance(error, errors.Overloaded):  # the queue itself tells that it is full
        log.error("%s %s: %s", request.method, request.url.path, error.text(services(request).settings.language))
    if isinstance(error, errors.FileMissing):
        log.warning("%s %s: %s", request.method, request.url.path, error)
    headers = headers_of(request, error, status)
    body: object = openai_body(error) if for_openai(request) else OllamaError(ollama_text(request, error))
    return json_reply(body, status, headers, media_type(request, error))


def media_type(request: Request, error: Exception) -> str:
    """Ollama names the charset, except in what takes the place of a stream's first line."""
    return JSON if for_openai(request) or isinstance(error, getattr(request.state, IN_STREAM, ())) else JSON_UTF8


def headers_of(request: Request, error: errors.HoshikageError, status: int) -> dict[str, str]:
    """When to ask again, in seconds, and that a server that stops takes no further request on the connection."""
    if status == 401:
        return {"www-authenticate": "Bearer"}
    if status not in {429, 503}:
        return {}
    closing = isinstance(error, errors.ServerStopping) and request.scope["http_version"].startswith("1")
    retry = {"retry-after": str(error.data.get("retry_after", RETRY_AFTER_SECONDS))}
    return {**retry, "connection": "close"} if closing else retry


def ollama_text(request: Request, error: errors.HoshikageError) -> str:
    """Ollama's words where its clients look for them, ours elsewhere."""
    asked = getattr(request.state, ASKED_MODEL, None)
    if isinstance(error, errors.FileMissing) and asked is not None:
        return f'model "{asked}" not found, try pulling it first'
    return next((text for cls, text in OLLAMA_TEXTS.items() if isinstance(error, cls)), str(error))


async def on_os_error(request: Request, error: Exception) -> Response:
    """What the system refuses, as a home that cannot be written, in its words and not as a bare 500."""
    log.error("%s %s: %s", request.method, request.url.path, error)
    body: object = (
        OpenAIError(OpenAIDetail(str(error), "server_error")) if for_openai(request) else OllamaError(str(error))
    )
    return json_reply(body, 500, None, media_type(request, error))


async def on_too_deep(request: Request, _error: Exception) -> Response:
    """JSON that can be read, but not be written again from where that is done."""
    return await on_fault(request, OllamaFault(400, "exceeded max depth"))


async def on_panic(request: Request, error: Exception) -> Response:
    """A mistake of ours, which the server logs: JSON too, where Ollama's body is empty, for who shows `error`."""
    text = "internal error: the server's log tells what went wrong"
    body: object = OpenAIError(OpenAIDetail(text, "server_error")) if for_openai(request) else OllamaError(text)
    return json_reply(body, 500, None, media_type(request, error))


async def on_fault(request: Request, error: Exception) -> Response:
    if isinstance(error, OllamaFault):
        return json_reply(OllamaError(error.text), error.status, None, media_type(request, error))
    if isinstance(error, OpenAIFault):
        return json_reply(OpenAIError(error.detail), error.status, None, JSON)
    raise error


async def on_too_large(request: Request, error: Exception) -> Response:
    detail = OpenAIError(OpenAIDetail(str(error), "invalid_request_error", None, "request_too_large"))
    return json_reply(detail if for_openai(request) else OllamaError(str(error)), 413, None, media_type(request, error))


async def on_too_slow(request: Request, error: Exception) -> Response:
    detail = OpenAIError(OpenAIDetail(str(error), "timeout_error", None, "request_timeout"))
    return json_reply(detail if for_openai(request) else OllamaError(str(error)), 408, None, media_type(request, error))


async def on_client_left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def on_http(request: Request, error: Exception) -> Response:
    """Unknown paths and methods: Go's plain texts on /api, JSON on /v1."""
    if not isinstance(error, HTTPException):
        raise error
    text = {404: "404 page not found", 405: "405 method not allowed"}.get(error.status_code, error.detail)
    headers = {"allow": _allow(error)} if error.status_code == 405 else None
    if for_openai(request):
        detail = OpenAIDetail(
            f"{request.method} {request.url.path}: {text}", OPENAI_TYPES.get(error.status_code, "server_error")
        )
        return json_reply(OpenAIError(detail), error.status_code, headers, JSON)
    reply = PlainTextResponse(text, error.status_code, headers)
    reply.headers["content-type"] = "text/plain"
    return reply


def _allow(error: HTTPException) -> str:
    allowed = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
    return ", ".join(method for method in METHODS if method in allowed)
