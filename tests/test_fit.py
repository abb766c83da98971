"""Which turns are left out: whole exchanges, the oldest first, at the same place in one request and the next."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hoshikage.conversation import Message, ToolCall
from hoshikage.fit import KEPT_EXCHANGES, Chat, Room, room

ROLES = ("system", "user", "assistant", "tool")
BASE = 5


def size(turn: Message) -> int:
    """A tokenizer as plain as can be: a character is a token, and a turn has two more."""
    return 0 if turn.role == "system" else 2 + len(turn.content)


def sizes(turns: list[Message]) -> list[int]:
    return [size(turn) for turn in turns]


def left_out(turns: list[Message], within: Room) -> int:
    return Chat(turns).left_out(sizes(turns), BASE, within)


FOUND = [Message(role="user")] * 4 + [Message(role="user", content="xxxx"), Message(role="system")]
"""A system message after the question, which hypothesis found."""

chats = st.lists(
    st.builds(Message, role=st.sampled_from(ROLES), content=st.text("x", max_size=30)), min_size=1, max_size=40
)
rooms = st.builds(room, st.integers(20, 400), st.integers(0, 100))


@given(chats, rooms)
def test_system_messages_the_last_exchanges_and_the_order_stay(turns: list[Message], within: Room) -> None:
    chat = Chat(turns)
    kept = chat.without(left_out(turns, within))
    assert [t for t in kept if t.role == "system"] == [t for t in turns if t.role == "system"]
    latest = [place for exchange in chat.exchanges[-1 - KEPT_EXCHANGES :] for place in exchange]
    others = [turn for turn in kept if turn.role != "system"]
    assert others[len(others) - len(latest) :] == [turns[place] for place in latest]


@given(chats, rooms)
def test_what_stays_begins_with_a_question(turns: list[Message], within: Room) -> None:
    out = left_out(turns, within)
    first = next((turn for turn in Chat(turns).without(out) if turn.role != "system"), None)
    assert not out or (first is not None and first.role == "user")


@given(chats, rooms)
@example(FOUND, room(20, 0))
def test_turns_go_only_where_it_is_too_long_and_then_enough_of_them(turns: list[Message], within: Room) -> None:
    chat, out = Chat(turns), left_out(turns, within)
    kept = BASE + sum(map(size, chat.without(out)))
    assert kept <= within.wanted or out == chat.spare
    if BASE + sum(map(size, turns)) <= within.wanted:
        assert out == 0


@given(chats, rooms)
def test_a_request_cuts_where_the_one_before_did_unless_more_must_go(turns: list[Message], within: Room) -> None:
    before = left_out(turns, within)
    answered = [*turns, Message(role="assistant", content="x"), Message(role="user", content="xx")]
    after = left_out(answered, within)
    assert after >= before
    stays = BASE + sum(map(size, Chat(answered).without(before)))
    spoken = [turn.role for turn in turns if turn.role != "system"]
    if spoken[-1:] != ["assistant"] and stays <= within.wanted:
        assert after == before


def test_after_a_cut_several_turns_follow_before_the_next_one() -> None:
    turns: list[Message] = []
    cuts = []
    for _ in range(60):
        turns.append(Message(role="user", content="x" * 8))
        cuts.append(left_out(turns, room(200, 1)))
        turns.append(Message(role="assistant", content="x" * 6))
    assert cuts == sorted(cuts)
    assert cuts[-1] > 40
    assert len(set(cuts)) <= 1 + 60 // 3


def test_calls_stay_with_their_results() -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(name="f", id="1"),))
    asked = [Message(role="user", content="x"), call, Message(role="tool", content="y"), Message(role="assistant")]
    chat = Chat([*asked, *asked])
    assert chat.exchanges == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert chat.without(1) == tuple(asked)


def test_a_greeting_before_the_first_question_goes_first() -> None:
    turns = [Message(role="assistant"), Message(role="user"), Message(role="user")]
    assert Chat(turns).exchanges == [[0], [1], [2]]


def test_further_exchanges_go_until_enough_has_gone() -> None:
    turns = [Message(role="user", content="x" * 8)] * 10
    chat, each = Chat(turns), sizes(turns)
    assert chat.spare == 6
    assert [chat.further(each, 1, excess) for excess in (1, 10, 11, 1000)] == [2, 2, 3, 6]
    assert chat.further(each, 6, 1) == 6


@pytest.mark.parametrize(
    ("limit", "answer", "wanted", "goal"),
    [(8192, 0, 7168, 6144), (8192, -1, 7168, 6144), (512, 8, 504, 384), (512, 4000, 384, 384), (4, 0, 3, 3)],
)
def test_room_is_kept_for_the_answer(limit: int, answer: int, wanted: int, goal: int) -> None:
    assert room(limit, answer) == Room(limit=limit, most=limit - 1, wanted=wanted, goal=goal)
