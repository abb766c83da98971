"""Images over HTTP, with a tiny model that has a projector and one that has none."""

import base64
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fixtures.pictures import header, joined, png
from fixtures.tiny_gguf import WIDTH, make_tiny
from fixtures.tiny_mmproj import POSITIONS, make_mmproj
from tests.program import Program, hoshikage, serve

GREEDY = {"temperature": 0, "num_predict": 2}
HUGE = joined(header(10_000, 10_000), (b"IDAT", zlib.compress(bytes(10))), (b"IEND", b""))
AROUND = len("<start_of_image><end_of_image>")
SCAN = '''SYSTEM no
TEMPLATE """{{ range .Messages }}{{ .Role }}: {{ .Content }}
{{ end }}"""
'''


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("models")
    text, eyes = make_tiny(folder / "text.gguf", window=2048), make_mmproj(folder / "eyes.gguf", text_width=WIDTH)
    both = f"FROM {text}\nFROM {eyes}\n"
    for name, modelfile in (("plain", f"FROM {text}\n"), ("sees", both), ("scans", both + SCAN)):
        (folder / name).write_text(modelfile)
        made = hoshikage(home, "create", name, "-f", str(folder / name))
        assert made.returncode == 0, made.stderr
    with serve(home) as running:
        yield running


def chat(program: Program, *images: bytes, model: str = "sees", text: str = "Hi?", **more: Any) -> httpx.Response:
    message = {"role": "user", "content": text, "images": [base64.b64encode(each).decode() for each in images]}
    asked = {"model": model, "messages": [message], "stream": False, "options": GREEDY, **more}
    return httpx.post(f"{program.url}/api/chat", json=asked, timeout=60)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (png()[:-20], "the PNG is cut off"),
        (png()[:50] + b"\0" + png()[51:], "the checksum of its chunk at byte 33 is wrong"),
        (HUGE, "it has 10000x10000 pixels; at most 50 megapixels are taken: scale it down"),
        (b"hello", "it is no image"),
    ],
    ids=["cut", "damaged", "huge", "text"],
)
def test_what_is_no_sound_image_starts_no_worker(program: Program, image: bytes, told: str) -> None:
    reply = chat(program, png(), image)
    assert (reply.status_code, reply.json()["error"].startswith("messages[0].images[1]: ")) == (400, True)
    assert told in reply.json()["error"]
    assert program.listed() == {}


def test_a_model_without_a_projector_names_what_it_lacks(program: Program) -> None:
    reply = chat(program, png(), model="plain")
    assert reply.status_code == 400
    assert '"plain" does not support images: it has no projector (mmproj)' in reply.json()["error"]
    encoded = {"model": "plain", "prompt": "a", "images": [base64.b64encode(png()).decode()]}
    assert httpx.post(f"{program.url}/api/generate", json=encoded).status_code == 400
    assert program.listed() == {}


def test_a_data_url_is_no_base64(program: Program) -> None:
    body = {"model": "sees", "prompt": "a", "images": ["data:image/png;base64,QUJD"]}
    reply = httpx.post(f"{program.url}/api/generate", json=body)
    assert (reply.status_code, reply.json()["error"]) == (400, "illegal base64 data at input byte 4")


def test_vision_is_told_of_the_model_that_has_it(program: Program) -> None:
    listed = httpx.get(f"{program.url}/api/tags").json()["models"]
    told = {each["name"]: each["capabilities"] for each in listed}
    shown = httpx.post(f"{program.url}/api/show", json={"model": "sees"}).json()
    assert told["sees:latest"] == shown["capabilities"] == ["completion", "vision"]
    assert told["plain:latest"] == ["completion"]
    assert shown["projector_info"]["clip.projector_type"] == "gemma3"


def test_the_positions_of_images_count_as_prompt_and_are_cached(program: Program) -> None:
    text = "What do you see in it, and what else do you know of it?"
    bare, first, again, other = [
        chat(program, *images, text=text).json() for images in ((), [png()], [png()], [png(seed=1)])
    ]
    assert first["prompt_eval_count"] == bare["prompt_eval_count"] + AROUND + POSITIONS
    assert again["prompt_eval_cached_count"] == again["prompt_eval_count"] - 1
    assert other["prompt_eval_cached_count"] < other["prompt_eval_count"] - len(text)


@pytest.mark.parametrize("model", ["sees", "scans"])
def test_another_image_and_another_order_change_the_answer(program: Program, model: str) -> None:
    asked = ([png()], [png(seed=1)], [png(), png(seed=1)], [png(seed=1), png()])
    replies = [chat(program, *each, model=model, logprobs=True).json() for each in asked]
    found = {reply["logprobs"][0]["logprob"] for reply in replies}
    assert len(found) == len(asked)


def test_marks_in_the_text_place_the_images(program: Program) -> None:
    def count(text: str) -> tuple[int, int]:
        encoded = [base64.b64encode(png()).decode()]
        body = {"model": "sees", "prompt": text, "images": encoded, "raw": True, "stream": False, "options": GREEDY}
        reply = httpx.post(f"{program.url}/api/generate", json=body, timeout=60).json()
        return reply["prompt_eval_count"], reply.get("prompt_eval_cached_count", 0)

    story = "It was painted red, as nobody remembered any more. "
    assert count(f"{story}[img]?") == (len(f"{story}?") + AROUND + POSITIONS, 0)
    assert count(f"{story}?")[0] == len(f"{story}?") + AROUND + POSITIONS
    assert count(f"{story}[img]!")[1] == len(story) + AROUND + POSITIONS


def test_images_with_an_empty_prompt_are_ignored(program: Program) -> None:
    body = {"model": "sees", "prompt": "", "images": [base64.b64encode(b"x").decode()]}
    reply = httpx.post(f"{program.url}/api/generate", json=body, timeout=60).json()
    assert (reply["done"], reply["done_reason"]) == (True, "load")


@pytest.mark.parametrize("route", ["chat", "generate"])
def test_what_would_be_sent_is_shown_with_ollamas_marks(program: Program, route: str) -> None:
    encoded = [base64.b64encode(png()).decode()]
    turn = {"messages": [{"role": "user", "content": "So", "images": encoded}]}
    body = turn if route == "chat" else {"prompt": "So", "images": encoded}
    asked = {"model": "sees", "_debug_render_only": True, **body}
    info = httpx.post(f"{program.url}/api/{route}", json=asked, timeout=60).json()["_debug_info"]
    assert info["image_count"] == 1
    assert "[img-0]So" in info["rendered_template"]


@pytest.mark.parametrize(("template", "told"), [("{{ .System }}:", "images-ignored=2"), ("{{ .Prompt }}", None)])
def test_images_that_a_template_does_not_show_are_told(program: Program, template: str, told: str | None) -> None:
    encoded = [base64.b64encode(png(seed=seed)).decode() for seed in range(2)]
    asked = {"model": "sees", "prompt": "So", "system": "S", "images": encoded, "template": template}
    reply = httpx.post(f"{program.url}/api/generate", json={**asked, "options": GREEDY, "stream": False}, timeout=60)
    assert (reply.status_code, reply.headers.get("x-hoshikage-warning")) == (200, told)
