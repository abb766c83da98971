"""The parser of all formats whose calls are JSON after a text of the format's own. Knows no format.

Blanks around calls are left out; what turns out to be no call is text again, word for word.
"""

from collections.abc import Iterable
from typing import Literal

from hoshikage.templates.reasoning import settled, trimmed
from hoshikage.templates.tools.base import Event, Scanner, call_of, loaded

BETWEEN = " \t\r\n,;"
"""What may stand between calls that follow each other."""
SPENT_MAX = 1 << 20
"""Characters that are read again, since they were no call, before no further calls are looked for."""

Place = Literal["outside", "between", "value"]
"""In text, where a call may begin or the closing text may come, or in a call's JSON."""


class TaggedCalls:
    """Calls after `opening` and before `closing`, if there is one: an object, a list, or several.

    Without an `opening` there are calls only where the answer starts with them.
    """

    def __init__(self, names: Iterable[str], opening: str, closing: str = "") -> None:
        self._names = frozenset(names)
        self._opening, self._closing = opening, closing
        self._place: Place = "outside" if opening else "between"
        self._text = ""
        """What has not come out yet. Inside, it begins with what is to be text again if there is no call."""
        self._lead = self._at = self._start = 0
        """Ends of the opening text and of what has been scanned, and where the present call begins."""
        self._scanner = Scanner()
        self._listed = self._called = False
        self._spent = 0

    def feed(self, text: str) -> list[Event]:
        """The events that `text` completes."""
        held, self._text = self._text, ""
        held += text  # in place, as nothing else holds it: what comes letter by letter takes no square of its length
        self._text = held
        return self._run()

    def end(self) -> list[Event]:
        """What was held back; after a call that is broken, further ones are looked for."""
        events = self._run()
        while self._place == "value" or (self._place == "between" and not self._called):
            events += [*self._give_up(), *self._run()]
        rest, self._text = self._text, ""
        return merged([*events, *([rest] if rest.strip() or not self._called else [])])

    def _run(self) -> list[Event]:
        events: list[Event] = []
        moving = True
        while moving:
            match self._place:
                case "outside":
                    moving = self._outside(events)
                case "between":
                    moving = self._between(events)
                case "value":
                    moving = self._value(events)
        return merged(events)

    def _outside(self, events: list[Event]) -> bool:
        """Text, up to an opening text; returns whether there is more to do."""
        if self._called:
            self._text = self._text.lstrip()
            self._called = not self._text
        at = self._text.find(self._opening) if self._opening else -1
        ready = settled(self._text, self._opening) if at < 0 else trimmed(self._text[:at])
        events.append(self._text[:ready])
        self._text = self._text[ready:]
        if at >= 0:
            self._place, self._listed = "between", False
            self._lead = self._at = at - ready + len(self._opening)
        return at >= 0

    def _between(self, events: list[Event]) -> bool:
        while self._at < len(self._text) and self._text[self._at] in BETWEEN:
            self._at += 1
        rest = self._text[self._at : self._at + max(len(self._closing), 1)]
        if not rest or (self._closing and rest != self._closing and self._closing.startswith(rest)):
            return False
        if self._closing and rest == self._closing and self._called:
            self._leave(self._at + len(rest))
        elif rest[0] == "{":
            self._place, self._start, self._scanner = "value", self._at, Scanner()
        elif rest[0] == ("]" if self._listed else "["):
            self._listed = not self._listed
            self._at += 1
            if not self._listed and self._called:
                self._text, self._at = self._text[self._at :], 0
        elif self._called:
            self._leave(self._at)
        else:
            events += self._give_up()
        return True

    def _value(self, events: list[Event]) -> bool:
        while self._at < len(self._text):
            if self._closing and not self._scanner.quoted and self._text[self._at] == self._closing[0]:
                events += self._give_up()
                return True
            ended = self._scanner.feed(self._text[self._at])
            self._at += 1
            if ended:
                self._take(events)
                return True
        return False

    def _take(self, events: list[Event]) -> None:
        call = call_of(loaded(self._text[self._start : self._at]), self._names)
        if call is None:
            events += self._give_up()
            return
        events.append(call)
        self._text, self._place, self._called = self._text[self._at :], "between", True
        self._lead = self._at = 0

    def _leave(self, end: int) -> None:
        """Go on with the text after the calls."""
        self._text, self._place, self._lead = self._text[end:], "outside", 0

    def _give_up(self) -> list[Event]:
        """What looked like a call is text; what follows its opening text may still hold one."""
        self._spent += len(self._text)
        if self._spent > SPENT_MAX:
            self._opening = ""
        lead, self._text = self._text[: self._lead], self._text[self._lead :]
        self._place, self._called = "outside", False
        return [lead]


def merged(events: list[Event]) -> list[Event]:
    """Without empty texts, and with neighbouring ones in one."""
    found: list[Event] = []
    for event in events:
        if isinstance(event, str) and found and isinstance(last := found[-1], str):
            found[-1] = last + event
        elif event != "":
            found.append(event)
    return found
