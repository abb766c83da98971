"""One streamed request over a plain socket: when each piece of text came, and what the server counted at the end.

Lines are only timed while they come and read afterwards: the client shares the cores with what it measures. Knows two
streams, Ollama's NDJSON and llama-server's server-sent events, and nothing of processes.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

LINE_BYTES = 1 << 24
EVENT = b"data: "


class NotServed(Exception):
    """The server answered with something else than a stream."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What both servers are asked alike. `greedy_penalty` above 1 keeps a small model from repeating itself."""

    prompt: str
    tokens: int
    greedy_penalty: float = 1.0

    def sampling(self) -> dict[str, float]:
        penalty = {"repeat_penalty": self.greedy_penalty, "repeat_last_n": 256} if self.greedy_penalty > 1 else {}
        return {"temperature": 0.0, **penalty}


@dataclass(frozen=True, slots=True)
class Reply:
    """Times are seconds of time.perf_counter(); `end` is when the last object came."""

    sent: float
    times: tuple[float, ...]
    end: float
    text: str
    prompt_tokens: int
    tokens: int

    @property
    def first(self) -> float:
        return self.times[0] if self.times else self.end

    @property
    def ttft(self) -> float:
        """Seconds from the request to the first text."""
        return self.first - self.sent

    @property
    def rate(self) -> float:
        """Tokens a second after the first one."""
        return (self.tokens - 1) / (self.end - self.first)


class OllamaLine(msgspec.Struct):
    response: str = ""
    done: bool = False
    prompt_eval_count: int = 0
    eval_count: int = 0
    error: str = ""

    def said(self) -> tuple[str, bool, int, int]:
        """Text, whether it is the last one, prompt tokens, completion tokens."""
        return self.response, self.done, self.prompt_eval_count, self.eval_count


class ServerEvent(msgspec.Struct):
    content: str = ""
    stop: bool = False
    tokens_evaluated: int = 0
    tokens_predicted: int = 0
    error: msgspec.Raw = msgspec.Raw(b"")

    def said(self) -> tuple[str, bool, int, int]:
        return self.content, self.stop, self.tokens_evaluated, self.tokens_predicted


@dataclass(frozen=True, slots=True)
class Dialect:
    path: str
    body: Callable[[Ask], dict[str, object]]
    decode: Callable[[bytes], OllamaLine | ServerEvent]


def ollama_body(model: str) -> Callable[[Ask], dict[str, object]]:
    def body(ask: Ask) -> dict[str, object]:
        options = {"num_predict": ask.tokens, **ask.sampling()}
        return {"model": model, "prompt": ask.prompt, "raw": True, "options": options}

    return body


def server_body(ask: Ask) -> dict[str, object]:
    # Ollama has no ignore_eos, so the texts are chosen to go on; here it makes sure that they do.
    own = {"stream": True, "ignore_eos": True}
    return {"prompt": ask.prompt, "n_predict": ask.tokens, **own, **ask.sampling()}


def ollama(model: str) -> Dialect:
    return Dialect("/api/generate", ollama_body(model), msgspec.json.Decoder(OllamaLine).decode)


LLAMA_SERVER = Dialect("/completion", server_body, msgspec.json.Decoder(ServerEvent).decode)


@dataclass(slots=True)
class Stream:
    """A request on its way; `lines` grows while it runs, `begun` is set when `begun_after` lines have come."""

    dialect: Dialect
    ask: Ask
    begun_after: int = 1
    sent: float = 0.0
    lines: list[tuple[float, bytes]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, port: int) -> Reply:
        """Ask and read to the end. Raises OSError where nobody listens, NotServed on another status than 200."""
        body = msgspec.json.encode(self.dialect.body(self.ask))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LINE_BYTES)
        try:
            self.sent = time.perf_counter()
            writer.write(head(self.dialect.path, port, len(body)) + body)
            status = (await reader.readline()).split()
            if status[1:2] != [b"200"]:
                raise NotServed(b" ".join([*status, await reader.read(LINE_BYTES)]).decode(errors="replace"))
            while line := await reader.readline():
                if line.startswith((EVENT, b"{")):  # the rest is headers, sizes of chunks and blank lines
                    self.lines.append((time.perf_counter(), line))
                    if len(self.lines) == self.begun_after:
                        self.begun.set()
        finally:
            writer.close()
        return self.reply()

    def reply(self) -> Reply:
        """What has come; raises NotServed if the stream broke off."""
        said = [(at, *self.dialect.decode(line.removeprefix(EVENT)).said()) for at, line in self.lines]
        if not said or not said[-1][2]:
            raise NotServed(f"the stream ended early: {self.lines[-1:]}")
        end, _, _, prompt_tokens, tokens = said[-1]
        pieces = [(at, text) for at, text, _, _, _ in said if text]
        text = "".join(text for _, text in pieces)
        return Reply(self.sent, tuple(at for at, _ in pieces), end, text, prompt_tokens, tokens)


def head(path: str, port: int, length: int) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode()
