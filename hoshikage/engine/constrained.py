"""The way of requests into the worker's inbox: those with a constraint wait beside it until that is compiled."""

from dataclasses import replace
from queue import SimpleQueue

from hoshikage.engine import wire
from hoshikage.engine.constraint import Compile, Compiler, Result
from hoshikage.engine.desk import Work
from hoshikage.engine.llama.model import Model
from hoshikage.engine.loop import Request
from hoshikage.engine.speaker import Speaker
from hoshikage.errors import ConstraintRefused

Inbox = SimpleQueue[Work | None]


class Constraints:
    """Puts requests into `inbox` or refuses them by `speaker`; used by the reader thread."""

    def __init__(self, model: Model, inbox: Inbox, speaker: Speaker) -> None:
        self._inbox = inbox
        self._speaker = speaker
        self._compiler = Compiler(lambda: prepared(model))

    def admit(self, request: Request) -> None:
        command = request.command
        if command.constraint is None:
            self._inbox.put(request)
            return
        self._compiler.submit(command.id, command.constraint, lambda result: self._matched(request, result))

    def forget(self, id_: int) -> None:
        """The request is cancelled: it must not come in after its cancellation."""
        self._compiler.cancel(id_)

    def _matched(self, request: Request, result: Result) -> None:
        if isinstance(result, ConstraintRefused):
            reason, field = str(result.data["reason"]), str(result.data["field"])
            self._speaker.say([wire.Refused(id=request.command.id, reason=reason, code=result.code, field=field)])
        else:
            self._inbox.put(replace(request, matcher=result))


def prepared(model: Model) -> Compile:
    """llguidance and the vocabulary are taken in when the first constraint comes: some 0.1 and 0.3 s."""
    from hoshikage.engine.grammar import compiled
    from hoshikage.engine.guidance import Vocabulary
    from hoshikage.engine.llama.vocabulary import pieces

    vocabulary = Vocabulary(*pieces(model))
    return lambda constraint: compiled(constraint, vocabulary)
