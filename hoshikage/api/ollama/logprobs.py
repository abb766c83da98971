"""Log probabilities in Ollama's form (contract §5.7)."""

from collections.abc import Iterable
from typing import Any

from hoshikage.conversation import TokenLogprob


def entry(each: TokenLogprob) -> dict[str, Any]:
    top = {"top_logprobs": [_entry(data, logprob) for data, logprob in each.top]} if each.top else {}
    return {**_entry(each.data, each.logprob), **top}


def _entry(data: bytes, logprob: float) -> dict[str, Any]:
    """`bytes` are those of the text as it is shown, not the vocabulary's."""
    token = data.decode("utf-8", "replace")
    return {"token": token, "logprob": logprob, **({"bytes": list(token.encode())} if token else {})}


def member(entries: Iterable[TokenLogprob]) -> dict[str, Any]:
    """The `logprobs` of an object; nothing where there are none."""
    found = [entry(each) for each in entries]
    return {"logprobs": found} if found else {}
