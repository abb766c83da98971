"""Nothing of the frameworks' own asks the world outside; their open sockets are not our faults."""

import os

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list when it is imported
os.environ["LANGSMITH_TRACING"] = "false"


def pytest_configure(config: pytest.Config) -> None:
    """They leave their HTTP clients to the garbage collector, and LiteLLM's own types warn."""
    warnings = ("::ResourceWarning", "::pytest.PytestUnraisableExceptionWarning", "Items? .* on TypedDict:UserWarning")
    for ignored in warnings:
        config.addinivalue_line("filterwarnings", f"ignore:{ignored.removeprefix(':')}")
