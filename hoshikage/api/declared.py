"""What hoshikage tells beside each dialect's own fields: a header, and an object at the end of the answer."""

from typing import Any

from hoshikage.conversation import Delta, Started, Usage

CONTEXT = "x-hoshikage-context"


def context_header(started: Delta) -> dict[str, str]:
    """How many tokens were asked, how many fit, and how many turns were left out for it."""
    if not isinstance(started, Started):
        return {}
    told = started.context
    counts = {
        "tokens": told.tokens_in,
        "limit": told.limit,
        "turns": told.turns_total,
        "left_out": told.turns_left_out,
    }
    return {CONTEXT: "; ".join(f"{name}={count}" for name, count in counts.items())}


def own(usage: Usage) -> dict[str, Any]:
    """The duration in nanoseconds."""
    draft = {"drafted": usage.drafted_tokens, "accepted": usage.accepted_tokens}
    return {
        "context": usage.context,
        "cache": cache(usage),
        "draft": draft,
        "queue_duration": usage.queue_ns,
    }


def cache(usage: Usage) -> dict[str, Any]:
    """What of the prompt was not evaluated again. That another owner has asked the same is nobody's business."""
    reason = "miss_prefix" if usage.reuse == "miss_owner" else usage.reuse
    return {"cached": usage.cached_tokens, "evaluated": usage.evaluated_tokens, "reason": reason}
