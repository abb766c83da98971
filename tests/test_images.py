"""What is taken for an image, and what is told of the others."""

import base64 as standard
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.pictures import chunk, header, joined, png
from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.wire import ChatRequest
from hoshikage.conversation import Message
from hoshikage.errors import RequestError
from hoshikage.images import IMAGES_MAX, BadImage, check, marked, of_messages, size_of

END = (b"IEND", b"")
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 30, 40) + bytes(20)
BMP = b"BM" + bytes(12) + struct.pack("<Iii", 40, 40, -30) + bytes(30)
GIF = b"GIF89a" + struct.pack("<HH", 40, 30) + bytes(3) + b"," + bytes(20)
WHOLE = png(9, 7)


def refusal(image: bytes) -> str:
    with pytest.raises(RequestError) as raised:
        check([("images[0]", image)])
    return str(raised.value)


@pytest.mark.parametrize("image", [png(40, 30), JPEG, BMP, GIF])
def test_width_and_height_are_read_of_every_format(image: bytes) -> None:
    assert size_of(image) == (40, 30)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (b"", "empty"),
        (b"hello", "no image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0\x1cftypheic", "HEIC"),
        (b"II*\0", "TIFF"),
        (b"\xff\xd8\xff\xcb\x00\x04ab", "arithmetic"),
        (JPEG[:9], "no frame"),
        (BMP[:20], "cut off"),
        (GIF[:13], "no picture"),
    ],
)
def test_what_is_not_taken_is_named_with_the_way_out(image: bytes, told: str) -> None:
    assert refusal(image).startswith("images[0]: ")
    assert told in refusal(image)
    assert "send" in refusal(image)


def test_a_png_with_a_wrong_checksum_is_damaged() -> None:
    image = bytearray(png())
    image[60] ^= 1
    assert "checksum of its chunk at byte 33" in refusal(bytes(image))


def test_a_png_whose_pixels_are_not_all_there_is_damaged() -> None:
    short = zlib.compress(bytes(10))
    assert "holds 10 bytes of pixels, 520 are wanted" in refusal(joined(header(43, 4), (b"IDAT", short), END))
    assert "damaged" in refusal(joined(header(43, 4), (b"IDAT", b"nonsense"), END))
    assert "without" in refusal(joined(header(43, 4), END))


def test_a_hundred_megapixels_are_refused_by_the_header_alone() -> None:
    image = joined(header(10_000, 10_000), (b"IDAT", zlib.compress(bytes(10))), END)
    assert "10000x10000 pixels; at most 50 megapixels" in refusal(image)


def test_a_bomb_behind_the_pixels_is_refused_before_it_is_unpacked() -> None:
    image = joined(header(1, 1), (b"IDAT", zlib.compress(bytes(1 << 24))), END)
    assert "holds more than its 4 bytes of pixels" in refusal(image)
    padded = joined(header(1, 1), (b"IDAT", zlib.compress(bytes(1000))), END)
    assert size_of(padded) == (1, 1)


def test_a_png_of_more_chunks_than_any_has_is_refused() -> None:
    image = joined(header(1, 1), *[(b"tEXt", b"")] * 2, (b"IDAT", zlib.compress(bytes(4))), END)
    many = image.replace(chunk(b"tEXt", b""), chunk(b"tEXt", b"") * (1 << 17), 1)
    assert "more than 65536 chunks" in refusal(many)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    whole = b"\xff\xd8\xff\xc2\0\x0b\x08\0\x10\0\x18\x01\1\x11\0"
    assert size_of(whole + b"\xff\xda" * 100) == (24, 16)
    assert "more than 100 scans" in refusal(whole + b"\xff\xda" * 101)


def test_images_are_counted_together_by_their_pixels() -> None:
    large = b"BM" + bytes(12) + struct.pack("<Iii", 40, 10_000, 5_000) + bytes(8)
    check([("a", large)] * 4)
    with pytest.raises(RequestError, match="250000000 pixels together; a request may have 200 megapixels"):
        check([("a", large)] * 5)


@pytest.mark.parametrize(("depth", "colour", "rows"), [(1, 0, 2 * 3), (16, 6, 5 * 8 * 3 + 3), (4, 3, 4 * 3)])
def test_every_depth_has_its_own_number_of_bytes(depth: int, colour: int, rows: int) -> None:
    exact = zlib.compress(bytes(rows))
    assert size_of(joined(header(5, 3, depth, colour), (b"IDAT", exact), END)) == (5, 3)


def test_an_interlaced_png_is_counted_by_its_passes() -> None:
    kind, data = header(5, 5)
    rows = sum(h * (1 + 3 * w) for w, h in ((1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (2, 3), (5, 2)))
    assert size_of(joined((kind, data[:-1] + b"\1"), (b"IDAT", zlib.compress(bytes(rows))), END)) == (5, 5)
    assert "are wanted" in refusal(joined((kind, data[:-1] + b"\1"), (b"IDAT", zlib.compress(bytes(rows - 1))), END))


@given(at=st.integers(0, len(WHOLE) - 1), value=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_no_byte_of_a_png_can_be_changed_unseen(at: int, value: int) -> None:
    changed = bytearray(WHOLE)
    changed[at] ^= value
    with pytest.raises(BadImage):
        size_of(bytes(changed))


@given(start=st.sampled_from([JPEG, BMP, GIF, WHOLE]), kept=st.integers(0, 60), rest=st.binary(max_size=80))
@settings(max_examples=500, deadline=None)
def test_mutants_have_a_size_or_a_reason(start: bytes, kept: int, rest: bytes) -> None:
    try:
        assert len(size_of(start[:kept] + rest)) == 2
    except BadImage as error:
        assert str(error)


def test_the_message_and_the_image_in_it_are_named() -> None:
    messages = [Message(role="user"), Message(role="user", images=(png(), b"x"))]
    with pytest.raises(RequestError, match=r"messages\[1\]\.images\[1\]: it is no image"):
        check(of_messages(messages))


def test_too_many_images_are_refused_with_both_numbers() -> None:
    with pytest.raises(RequestError, match=f"{IMAGES_MAX + 1} images .* {IMAGES_MAX}"):
        check([("images[0]", png())] * (IMAGES_MAX + 1))


def test_marks_stand_where_the_text_has_them_and_the_others_in_front() -> None:
    first = Message(role="user", content="a [img] b [img] c", images=(b"1", b"2", b"3"))
    second = Message(role="user", content="d", images=(b"4",))
    found = marked([first, Message(role="assistant", content="[img]"), second], "<")
    assert [each.content for each in found] == ["<2]a <0] b <1] c", "[img]", "<3]d"]


@pytest.mark.parametrize(
    ("text", "byte"),
    [
        ("data:image/png;base64,QUJD", 4),
        ("QUJD-_==", 4),
        ("QUJ", 0),
        ("QUJDRA", 4),
        ("QUJDRA=", 7),
        ("QUJD\r\nRA=", 9),
        ("=", 0),
        ("Q===", 1),
        ("QQ=Q", 2),
        ("QUI=QUI=", 4),
        ("QQ==Q", 4),
        ("é", 0),
        ("QUé", 2),
    ],
)
def test_what_is_no_base64_has_gos_own_text(text: str, byte: int) -> None:
    body = f'{{"model":"m","messages":[{{"images":["{text}"]}}]}}'.replace("\r\n", "\\r\\n")
    with pytest.raises(OllamaFault, match=f"^illegal base64 data at input byte {byte}$"):
        decode(body.encode(), ChatRequest)


def test_line_ends_in_base64_are_tolerated() -> None:
    text = standard.encodebytes(png()).decode().replace("\n", "\\r\\n")
    asked = decode(f'{{"messages":[{{"images":["{text}"]}}]}}'.encode(), ChatRequest)
    assert asked.messages[0].images == [png()]


def test_an_image_that_is_no_text_has_gos_own_text() -> None:
    with pytest.raises(
        OllamaFault, match=r"number into Go struct field ChatRequest\.messages\.images of type api\.Ima"
    ):
        decode(b'{"messages":[{"images":[1]}]}', ChatRequest)
