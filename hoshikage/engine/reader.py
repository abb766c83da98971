"""What becomes of a command in the worker's reader thread: tokens for the inbox, or an answer at once."""

from dataclasses import dataclass

from hoshikage.engine import wire
from hoshikage.engine.constrained import Constraints, Inbox
from hoshikage.engine.desk import Desk, Work
from hoshikage.engine.embedder import refused
from hoshikage.engine.llama.model import Model
from hoshikage.engine.prompt import request_of
from hoshikage.engine.speaker import Speaker
from hoshikage.engine.tokens import answer
from hoshikage.engine.wire_pooled import Embed, Rerank
from hoshikage.engine.wire_tokens import Count, Detokenize, Tokenize
from hoshikage.errors import HoshikageError


@dataclass(frozen=True, slots=True)
class Reader:
    """What the reader thread gives commands to; tokenizing a long prompt or scaling an image here does not hold up
    the steps."""

    model: Model
    desk: Desk
    constraints: Constraints
    inbox: Inbox
    speaker: Speaker

    def take(self, command: wire.Command) -> None:
        """Put the command into the inbox with its tokens, or answer it at once."""
        if isinstance(command, wire.Load):
            return
        try:
            if isinstance(command, Count | Tokenize | Detokenize):
                self.speaker.say([answer(command, self.model)])
            elif isinstance(command, wire.Statistics):
                self.speaker.say([self.desk.counters(command.id)])
            elif isinstance(command, wire.Generate):
                self.constraints.admit(request_of(command, self.model, self.desk.projector))
            else:
                self.constraints.forget(command.id)
                self.inbox.put(self._work(command))
        except HoshikageError as error:
            self.speaker.say([refused(command.id, error)])

    def _work(self, command: Embed | Rerank | wire.Cancel) -> Work:
        if isinstance(command, Embed | Rerank):
            return self.desk.embedder.prepare(command)
        return command
