"""A client in a thread of its own, and what it has been told so far."""

import json
import threading
from typing import Any

import httpx

ENDS_SECONDS = 60


class Asked(threading.Thread):
    """One streamed request, begun at once. `lines` are the frames; `cut` tells that the body had no proper end."""

    def __init__(self, url: str, body: dict[str, Any], route: str = "/api/generate") -> None:
        super().__init__(daemon=True)
        self.lines: list[Any] = []
        self.status = 0
        self.cut = False
        self.finished = False
        self._asked = url + route, {"stream": True, **body}
        self.start()

    def run(self) -> None:
        url, body = self._asked
        try:
            with httpx.stream("POST", url, json=body, timeout=ENDS_SECONDS) as reply:
                self.status = reply.status_code
                for line in reply.iter_lines():
                    self._take(line.removeprefix("data: "))
        except httpx.RemoteProtocolError:
            self.cut = True

    def wait(self) -> None:
        self.join(ENDS_SECONDS)
        assert not self.is_alive(), "the client waits for ever"

    @property
    def error(self) -> str:
        """The text of the error frame, which is the last one; nothing if there is none."""
        error = self.lines[-1].get("error", "") if self.lines and isinstance(self.lines[-1], dict) else ""
        return str(error["message"] if isinstance(error, dict) else error)

    @property
    def text(self) -> str:
        return "".join(str(line.get("response", "")) for line in self.lines)

    def assert_failed(self) -> None:
        """By an error frame after which the body is cut, or by a status."""
        self.wait()
        assert (self.cut, self.status) == (True, 200) or self.status >= 500, (self.status, self.lines)
        assert "unexpectedly stopped" in self.error or "could not be loaded" in self.error, self.lines
        assert not self.finished

    def assert_whole(self) -> None:
        self.wait()
        assert (self.status, self.cut, self.finished) == (200, False, True), (self.status, self.lines)

    def _take(self, line: str) -> None:
        if line == "[DONE]":
            self.finished = True
        elif line:
            self.lines.append(json.loads(line))
            self.finished = self.finished or bool(self.lines[-1].get("done"))
