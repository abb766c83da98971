"""Who may lie on the RAM disk and who goes first; numbers only."""

from hypothesis import given
from hypothesis import strategies as st

from hoshikage.ramdisk.budget import Held, Room, plan, relief, spare

MB = 10**6
ROOM = Room(capacity=1000 * MB, share=200 * MB, snapshots=0, free=5000 * MB, memory=5000 * MB)


def held(name: str, size: int, used: int = 0, *, mapped: bool = False) -> Held:
    return Held(name, size * MB, used, mapped)


def test_what_fits_beside_the_others_removes_nobody() -> None:
    assert plan(500 * MB, [held("a", 300)], ROOM).remove == ()


def test_the_longest_unused_go_first_and_no_more_than_needed() -> None:
    copies = [held("new", 300, 3), held("old", 200, 1), held("older", 100, 0), held("newest", 100, 4)]
    assert plan(300 * MB, copies, ROOM).remove == ("older", "old")


def test_a_mapped_copy_never_goes() -> None:
    copies = [held("mapped", 500, 0, mapped=True), held("idle", 200, 9)]
    assert plan(300 * MB, copies, ROOM).remove == ("idle",)
    assert plan(400 * MB, copies, ROOM).refusal == "it needs 400 MB, and there is room on the RAM disk for 300 MB"


def test_where_removing_does_not_help_nothing_is_removed() -> None:
    made = plan(900 * MB, [held("a", 100)], ROOM)
    assert made.remove == ()
    assert made.refusal == "it needs 900 MB, and there is room on the RAM disk for 800 MB"


def test_the_share_of_snapshots_is_kept_for_them_on_a_small_file_system() -> None:
    small = Room(capacity=1000 * MB, share=200 * MB, snapshots=50 * MB, free=400 * MB, memory=5000 * MB)
    assert spare([], small) == 250 * MB


def test_short_memory_is_said_as_such() -> None:
    short = Room(capacity=1000 * MB, share=0, snapshots=0, free=1000 * MB, memory=-30 * MB)
    assert plan(100 * MB, [], short).refusal == "it needs 100 MB, and there is memory for 0 MB"


def test_short_memory_takes_idle_copies_and_no_more_than_needed() -> None:
    copies = [held("b", 100, 2), held("a", 100, 1), held("c", 100, 0, mapped=True)]
    assert (relief(copies, -1), relief(copies, 1), relief(copies, 10**12)) == ((), ("a",), ("a", "b"))


copies = st.lists(
    st.builds(Held, st.uuids().map(str), st.integers(1, 500), st.integers(0, 9), st.booleans()), max_size=8
)
rooms = st.builds(Room, *[st.integers(0, 3000)] * 4, st.integers(-500, 3000))


@given(st.integers(1, 1000), copies, rooms)
def test_a_plan_fits_or_touches_nothing(size: int, there: list[Held], room: Room) -> None:
    made = plan(size, there, room)
    left = [each for each in there if each.name not in made.remove]
    freed = sum(each.size for each in there) - sum(each.size for each in left)
    after = Room(room.capacity, room.share, room.snapshots, room.free + freed, room.memory + freed)
    assert all(each in left for each in there if each.mapped)
    assert (spare(left, after) >= size) != bool(made.refusal)
    assert not (made.refusal and made.remove)
