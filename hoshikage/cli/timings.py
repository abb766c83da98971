"""How long an answer took, as `run --verbose` prints it in Ollama's words."""

from collections.abc import Iterator

from msgspec import Struct

from hoshikage.cli.human import NS_PER_S, duration
from hoshikage.conversation import Usage


class Timings(Struct, frozen=True, kw_only=True):
    """The counts, in tokens, and durations, in nanoseconds, of the last line of an answer."""

    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0


def of_usage(usage: Usage, total_ns: int) -> Timings:
    return Timings(
        total_duration=total_ns,
        load_duration=usage.load_ns,
        prompt_eval_count=usage.prompt_tokens,
        prompt_eval_duration=usage.prompt_ns,
        eval_count=usage.completion_tokens,
        eval_duration=usage.eval_ns,
    )


def summary(timings: Timings) -> str:
    """A line for each figure that is not 0."""
    return "".join(f"{title + ':':<21} {value}\n" for title, value in figures(timings))


def figures(timings: Timings) -> Iterator[tuple[str, str]]:
    if timings.total_duration:
        yield "total duration", duration(timings.total_duration)
    if timings.load_duration:
        yield "load duration", duration(timings.load_duration)
    yield from phase("prompt eval", timings.prompt_eval_count, timings.prompt_eval_duration)
    yield from phase("eval", timings.eval_count, timings.eval_duration)


def phase(name: str, count: int, nanoseconds: int) -> Iterator[tuple[str, str]]:
    if count:
        yield f"{name} count", f"{count} token(s)"
    if nanoseconds:
        yield f"{name} duration", duration(nanoseconds)
        yield f"{name} rate", f"{count * NS_PER_S / nanoseconds:.2f} tokens/s"
