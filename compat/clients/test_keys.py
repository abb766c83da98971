"""API keys as the real clients send them, and the errors that they make of the refusals."""

from collections.abc import Iterator
from pathlib import Path

import ollama
import openai
import pytest

from hoshikage.keys import Keys, Scope
from tests.program import Program, serve


@pytest.fixture
def program(starter: Path, tmp_path: Path) -> Iterator[Program]:
    with serve(tmp_path, starter) as running:
        yield running


def test_ollamas_client_sends_its_key_and_reads_the_refusals(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", Keys(program.home).add("phone", [Scope.CHAT])[1])
    with ollama.Client(program.url) as client:
        assert client.list().models[0].model == "starter:latest"
        with pytest.raises(ollama.ResponseError, match="models") as refused:
            client.delete("starter")
        assert refused.value.status_code == 403
    monkeypatch.delenv("OLLAMA_API_KEY")
    with ollama.Client(program.url) as client, pytest.raises(ollama.ResponseError, match="unauthorized") as unknown:
        client.generate("starter", "hi")
    assert unknown.value.status_code == 401


def test_openais_client_sends_its_key_and_reads_the_refusals(program: Program) -> None:
    keys = Keys(program.home)
    secrets = [keys.add("chat", [Scope.CHAT])[1], keys.add("models", [Scope.MODELS])[1], "hk-unknown"]
    clients = [openai.OpenAI(base_url=f"{program.url}/v1", api_key=each, max_retries=0) for each in secrets]

    def ask(client: openai.OpenAI) -> str | None:
        messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
        answer = client.chat.completions.create(model="starter", messages=messages, max_tokens=4)
        return answer.choices[0].message.content

    with clients[0] as right, clients[1] as narrow, clients[2] as wrong:
        assert ask(right)
        with pytest.raises(openai.PermissionDeniedError, match="chat"):
            ask(narrow)
        with pytest.raises(openai.AuthenticationError, match="x-api-key") as refused:
            ask(wrong)
    assert refused.value.code == "invalid_api_key"
