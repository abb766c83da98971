"""Stands between Open WebUI and the server, to see what each chat asked and how it ended: Open WebUI keeps neither."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

PATIENCE = 600


@dataclass
class Relay:
    """Its address, and the chats that ended: the request and the last line of each, in the order of their ends."""

    url: str
    chats: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def with_tools(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Those of the user; titles and the like are asked for without tools."""
        return [(asked, last) for asked, last in self.chats if asked.get("tools")]


@contextlib.contextmanager
def relayed(target: str) -> Iterator[Relay]:
    """All that is asked there is asked of `target`."""

    class Handler(BaseHTTPRequestHandler):
        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with httpx.stream(self.command, target + self.path, content=body, timeout=PATIENCE) as reply:
                self.send_response(reply.status_code)
                self.send_header("Content-Type", reply.headers.get("Content-Type", "application/json"))
                self.end_headers()
                said = bytearray()
                for piece in reply.iter_bytes():
                    said += piece
                    self.wfile.write(piece)
            if self.path == "/api/chat" and reply.status_code == 200:
                relay.chats.append((json.loads(body), json.loads(said.splitlines()[-1])))

        do_GET = do_POST = do_DELETE = relay

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        relay = Relay(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield relay
        finally:
            server.shutdown()
