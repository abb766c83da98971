"""Picker: draws one sequence's tokens from the logits of its rows. Knows no text and no scheduling."""

from hoshikage.engine.llama.chain import Chain
from hoshikage.engine.llama.context import Context


class Picker:
    """Owns the sampler chain of one sequence."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def pick(self, context: Context, row: int) -> int:
        """The next token of the sequence, drawn from the logits of batch row `row`."""
        return self._chain.sample(context, row)

    def close(self) -> None:
        self._chain.close()
