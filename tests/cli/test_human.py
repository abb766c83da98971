"""Sizes, times, durations and tables in Ollama's words."""

import pytest

from hoshikage.cli.human import duration, moment, size, span, table, width

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1500, "1.5 KB"),
        (9_949, "9.9 KB"),
        (10_999, "10 KB"),
        (12_900_000, "12 MB"),
        (999_999_999, "999 MB"),
        (1_000_000_000, "1 GB"),
        (4_683_087_332, "4.7 GB"),
        (1_234_000_000_000, "1.2 TB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_a_size_is_decimal_and_whole_from_ten_units_on(count: int, written: str) -> None:
    assert size(count) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "Less than a second"),
        (0.99, "Less than a second"),
        (1, "1 second"),
        (1.99, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (2 * MINUTE - 1, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (150 * MINUTE, "3 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (14 * DAY - HOUR, "13 days"),
        (14 * DAY, "2 weeks"),
        (60 * DAY - HOUR, "8 weeks"),
        (60 * DAY, "2 months"),
        (2 * YEAR - HOUR, "24 months"),
        (2 * YEAR - 20 * MINUTE, "2 years"),
        (20 * YEAR, "20 years"),
    ],
)
def test_a_span_is_told_in_about_one_word(seconds: float, written: str) -> None:
    assert span(seconds) == written


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (None, "Never"),
        (1e9, "Less than a second ago"),
        (1e9 - 14 * DAY, "2 weeks ago"),
        (1e9 + 0.8, "Less than a second from now"),
        (1e9 + 4.5 * MINUTE, "4 minutes from now"),
        (1e9 + 20 * YEAR, "20 years from now"),
        (1e9 + 21 * YEAR, "Forever"),
        (1e9 + 292 * YEAR, "Forever"),
        (float("inf"), "Forever"),
    ],
)
def test_a_moment_is_ago_or_from_now_or_forever(at: float | None, written: str) -> None:
    assert moment(at, 1e9, "Never") == written


@pytest.mark.parametrize(
    ("nanoseconds", "written"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (999_999_999, "999.999999ms"),
        (1_000_000_000, "1s"),
        (3_300_000_000, "3.3s"),
        (62_500_000_000, "1m2.5s"),
        (245_000_000_000, "4m5s"),
        (3_600_000_000_000, "1h0m0s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (2**63 - 1, "2562047h47m16.854775807s"),
        (-1_500_000, "-1.5ms"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(nanoseconds: int, written: str) -> None:
    assert duration(nanoseconds) == written


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("星影", 4), ("ＡＢ", 4), ("ｶﾅ", 2), ("e\u0301", 1), ("a\u200db", 2)]
)
def test_wide_letters_count_two_columns(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("heading", "rows", "written"),
    [
        (["NAME", "ID"], [], "NAME    ID\n"),
        (["NAME", "ID"], [["gemma3:4b", "a2af6cc3eb7f"]], "NAME         ID          \ngemma3:4b    a2af6cc3eb7f\n"),
        (["NAME", "ID"], [["星影", "1"], ["a", "22"]], "NAME    ID\n星影    1 \na       22\n"),
        (["NAME", "ID", "SIZE"], [["a"]], "NAME    ID    SIZE\na   \n"),
    ],
)
def test_a_table_has_padded_cells_four_spaces_apart(heading: list[str], rows: list[list[str]], written: str) -> None:
    assert table(heading, rows) == written
