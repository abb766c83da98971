"""The tally of all rounds, printed at the end."""

import sys

import pytest

from tests.crash.rounds import Tally

TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes are seen and stopped by what Linux tells of them."""
    for item in items:
        if sys.platform != "linux" and "tests/crash" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason="only on Linux"))


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    return pytestconfig.stash[TALLY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(TALLY, None)
    if found and found.hits:
        terminalreporter.section("workers that died, by stage and manner")
        for line in found.table():
            terminalreporter.write_line(line)
