"""Picker: draws one sequence's tokens from the logits of its rows. Knows no text and no scheduling."""

from collections import deque
from typing import TYPE_CHECKING

from hoshikage.engine.llama.chain import Chain
from hoshikage.engine.llama.context import Context
from hoshikage.errors import SequenceFailed

if TYPE_CHECKING:
    from hoshikage.engine.guidance import Matcher  # this and numpy take 0.1 s each, and few workers need them


class Picker:
    """Owns the sampler chain of one sequence, and the matcher of its constraint.

    With `keeps_logits`, the model's own logits of each picked token wait in `logits`.
    """

    def __init__(self, chain: Chain, matcher: "Matcher | None" = None, *, keeps_logits: bool = False) -> None:
        self._chain = chain
        self._matcher = matcher
        self.logits: deque[bytes] | None = deque() if keeps_logits else None
        self.failure = ""
        """Why the sequence cannot go on; what was picked then is no token of it."""

    @property
    def complete(self) -> bool:
        """Whether the constraint lets the text only end."""
        return self._matcher is not None and self._matcher.complete

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._matcher.warnings if self._matcher else ()

    def pick(self, context: Context, row: int) -> int:
        """The next token of the sequence, drawn from the logits of batch row `row`."""
        if self.logits is not None:
            self.logits.append(context.logits(row))
        if self._matcher is None:
            return self._chain.sample(context, row)
        try:
            return self._constrained(self._matcher, context, row)
        except SequenceFailed as error:
            self.failure = str(error.data["reason"])
            return 0

    def _constrained(self, matcher: "Matcher", context: Context, row: int) -> int:
        from hoshikage.engine.llama.logits import allow_only  # found in sys.modules from the second time on

        allow_only(context, row, matcher.mask(), matcher.n_vocab)
        token = self._chain.sample(context, row)
        matcher.accept(token)
        return token

    def close(self) -> None:
        self._chain.close()
        if self._matcher is not None:
            self._matcher.close()
