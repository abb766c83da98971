"""Ollama's own Python client changes the models of the real server: create, copy, pull, delete, blobs."""

from collections.abc import Iterator
from pathlib import Path

import ollama
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import serve


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> Iterator[ollama.Client]:
    with serve(tmp_path_factory.mktemp("models") / "home", starter) as server, ollama.Client(server.url) as made:
        yield made


def names(client: ollama.Client) -> set[str | None]:
    return {model.model for model in client.list().models}


def test_a_model_is_created_from_another_copied_and_deleted(client: ollama.Client) -> None:
    told = client.create(model="brief", from_="starter", system="Be brief.", parameters={"num_predict": 4}, stream=True)
    assert [step.status for step in told][-1] == "success"
    assert client.show("brief").parameters == f"{'num_predict':<30} 4"
    assert client.chat("brief", [{"role": "user", "content": "Tell me all."}]).eval_count == 4
    assert client.copy("brief", "me/short").status == "success"
    assert {"brief:latest", "me/short:latest"} <= names(client)
    assert client.delete("brief").status == "success"
    assert "brief:latest" not in names(client)
    with pytest.raises(ollama.ResponseError, match="not found"):
        client.delete("brief")


def test_what_is_loaded_is_told_by_a_name_that_is_left(client: ollama.Client) -> None:
    client.generate("starter", keep_alive=0)
    client.copy("starter", "twin")
    client.generate("twin", "Hi", options={"num_predict": 1})
    client.delete("twin")
    assert client.generate("starter", "Hi", options={"num_predict": 1}).response
    (loaded,) = client.ps().models
    assert loaded.model in names(client)


def test_a_file_is_uploaded_and_quantized(client: ollama.Client, tmp_path: Path) -> None:
    digest = client.create_blob(make_tiny(tmp_path / "tiny.gguf"))
    steps = list(client.create(model="small", files={"tiny.gguf": digest}, quantize="q8_0", stream=True))
    assert steps[-1].status == "success"
    details = client.show("small").details
    assert details is not None
    assert details.quantization_level == "Q8_0"


def test_a_pull_that_cannot_be_is_an_error_of_the_client(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="pypi"):
        list(client.pull("pypi:no-such-package", stream=True))
    with pytest.raises(ollama.ResponseError, match="invalid model name"):
        client.pull("a b")
