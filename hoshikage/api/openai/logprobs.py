"""Log probabilities in OpenAI's form (contract §5.5)."""

from collections.abc import Sequence
from typing import Any

from hoshikage.api.errors import OpenAIFault
from hoshikage.api.openai.decode import Number, integer
from hoshikage.conversation import TokenLogprob

TOP_MAX = 20


def count_of(logprobs: bool | None, top_logprobs: Number | None) -> int | None:
    """How many alternatives are asked for; None = no log probabilities at all. Raises OpenAIFault (400)."""
    count = integer("top_logprobs", top_logprobs)
    if count is not None and not logprobs:
        raise OpenAIFault("top_logprobs requires logprobs to be true", param="top_logprobs", code="invalid_value")
    if count is not None and not 0 <= count <= TOP_MAX:
        text = f"top_logprobs is {count}: 0 to {TOP_MAX} is allowed"
        raise OpenAIFault(text, param="top_logprobs", code="invalid_value")
    return (count or 0) if logprobs else None


def content(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    """The `logprobs` of a choice. `bytes` are the vocabulary's, also of a part of a character."""
    tops = ([_entry(data, logprob) for data, logprob in each.top] for each in entries)
    found = [{**_entry(each.data, each.logprob), "top_logprobs": top} for each, top in zip(entries, tops, strict=True)]
    return {"content": found, "refusal": None}


def _entry(data: bytes, logprob: float) -> dict[str, Any]:
    return {"token": data.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(data)}
