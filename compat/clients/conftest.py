"""The real server as a program, for real clients."""

from tests.conftest import server, starter

__all__ = ["server", "starter"]
