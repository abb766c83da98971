"""A server that stops takes no new request: an ASGI layer before every route. Knows no dialect."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hoshikage.admission import Admission, Reason
from hoshikage.api.errors import on_hoshikage_error


class Stopping:
    """Wraps the routes."""

    def __init__(self, app: ASGIApp, *, admission: Admission) -> None:
        self.app = app
        self.admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.admission.stopping:
            await self.app(scope, receive, send)
            return
        reply = await on_hoshikage_error(Request(scope), self.admission.refuse(Reason.STOPPING))
        await reply(scope, receive, send)
