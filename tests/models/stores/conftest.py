"""What the tests of the stores share: a tiny model."""

from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf")
