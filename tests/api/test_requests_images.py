"""Images in the request bodies of real clients: they arrive as the files they are, and a model without eyes says so."""

import base64
from collections.abc import Mapping

import pytest

from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.wire import ChatRequest, GenerateRequest, to_chat, to_completion
from tests.program import Program
from tests.recorded import Recorded, recorded

PNG = b"\x89PNG\r\n"
CHATS = [each for each in recorded("/api/chat") if "images" in each.values[0].expect]
PROMPTS = [each for each in recorded("/api/generate") if "images" in each.values[0].expect]


def files(where: Mapping[str, list[str]]) -> tuple[bytes, ...]:
    return tuple(map(base64.b64decode, where.get("images") or ()))


@pytest.mark.parametrize("given", CHATS)
def test_images_of_a_chat_arrive_with_their_message(given: Recorded) -> None:
    chat = to_chat(decode(given.content, ChatRequest), "me")
    assert [len(message.images) for message in chat.messages] == given.expect["images"]
    assert [message.images for message in chat.messages] == [files(message) for message in given.body["messages"]]
    assert all(image.startswith(PNG) for message in chat.messages for image in message.images)
    assert [message.content for message in chat.messages] == [each["content"] for each in given.body["messages"]]


@pytest.mark.parametrize("given", PROMPTS)
def test_images_of_a_prompt_arrive(given: Recorded) -> None:
    found = to_completion(decode(given.content, GenerateRequest), "me")
    assert (len(found.images), found.images) == (given.expect["images"], files(given.body))


@pytest.mark.parametrize("given", [*CHATS, *PROMPTS])
def test_a_model_without_eyes_refuses_them_by_name(server: Program, given: Recorded) -> None:
    with server.client() as client:
        reply = client.post(given.path, content=given.bounded(), headers=given.headers)
    assert (reply.status_code, "image" in reply.json()["error"]) == (400, True)
