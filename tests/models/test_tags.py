"""The projections' shape and order."""

import json
import time
from pathlib import Path

import msgspec
import pytest

from hoshikage.models.entry import Entry, Facts, Stored
from hoshikage.models.tags import cards, local_time, tags

EXAMPLE = Path(__file__).parent.parent.parent / "tags_ollama.json.example"
FACTS = Facts(
    size=9, family="llama", parameter_size="1B", quantization_level="Q8_0", context_length=4, embedding_length=2
)


def entry(name: str, created: float, facts: Facts = FACTS) -> Entry:
    return Entry(name=name, file=Path("/x"), stored=Stored(path="/x", digest="0" * 64, created=created, facts=facts))


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items()}
    return [keys(each) for each in value[:1]] if isinstance(value, list) else None


def test_the_example_has_the_shape_that_is_written() -> None:
    facts = msgspec.structs.replace(FACTS, capabilities=("completion", "tools"))
    written = json.loads(msgspec.json.encode(tags([entry("starter", 1.0, facts)])))
    example = json.loads(EXAMPLE.read_bytes())
    assert keys(example) == keys(written)
    assert list(example["models"][0]) == list(written["models"][0])
    assert written["models"][0]["capabilities"] == ["completion", "tools"]


def test_the_latest_comes_first_by_whole_seconds_and_ties_keep_their_order() -> None:
    found = tags([entry("a", 1.0), entry("b", 5.9), entry("c", 5.1), entry("d", 3.0)])
    assert [model.name for model in found.models] == ["b:latest", "c:latest", "d:latest", "a:latest"]


def test_no_models_is_an_empty_list() -> None:
    assert msgspec.json.encode(tags([])) == b'{"models":[]}'
    assert msgspec.json.encode(cards([])) == b'{"object":"list","data":[]}'


@pytest.mark.parametrize(
    ("zone", "unix_seconds", "text"),
    [
        ("UTC0", 1795514521.8, "2026-11-24T10:02:01.8Z"),
        ("UTC0", 1795514521, "2026-11-24T10:02:01Z"),
        ("JST-9", 1795514521.0625, "2026-11-24T19:02:01.0625+09:00"),
        ("NST3:30", 1795514521.5, "2026-11-24T06:32:01.5-03:30"),
    ],
)
def test_times_are_in_the_local_zone_as_go_prints_them(
    monkeypatch: pytest.MonkeyPatch, zone: str, unix_seconds: float, text: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert local_time(unix_seconds) == text
    finally:
        monkeypatch.undo()
        time.tzset()
