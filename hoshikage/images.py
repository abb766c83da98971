"""Images that come with a request: what their bytes are and how large, told from the file before a model is asked.

Nothing is drawn: a PNG is walked and unpacked to be counted, of the others the header is read. Whatever llama.cpp's
decoder is given has passed here.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from secrets import token_hex

from msgspec import structs

from hoshikage.conversation import Message
from hoshikage.errors import RequestError

PIXELS_MAX = 50_000_000
"""An image is unpacked to three bytes a pixel before it is scaled down."""
IMAGES_MAX = 64
"""In one request."""
TOTAL_MAX = 4 * PIXELS_MAX
"""Pixels in one request, since all of its images are unpacked together."""
CHUNKS_MAX = 1 << 16
"""Of a PNG, and parts before the frame of a JPEG: a large file has thousands."""
SCANS_MAX = 100
"""Of a JPEG: a progressive one has about ten, and the decoder passes over the whole picture for each."""
UNPACKED = 1 << 20
"""Bytes of a PNG that are unpacked at a time, and that may follow its pixels: the decoder unpacks them too."""
PACKED = 1 << 16
"""Bytes of a PNG that are given to be unpacked at a time: what is left of them is copied."""
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Of each colour type of a PNG: channels, and the bits each may have."""
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: first column and row, and the steps to the next ones."""
FRAMES = {0xC0, 0xC1, 0xC2}
"""JPEG's markers of a picture in Huffman codes; the others up to 0xCF are coded in other ways, or tables."""
TABLES = {0xC4, 0xC8, 0xCC}
BARE = {0x01, *range(0xD0, 0xD8)}
"""JPEG's markers without a length."""
MARKS = re.compile(r"\[img-[0-9a-f]{32}-(\d+)\]")
WAY_OUT = "send it as PNG or JPEG"

Size = tuple[int, int]


class BadImage(Exception):
    """Why an image is not taken."""


def check(images: Sequence[tuple[str, bytes]]) -> None:
    """Each comes with its name in the request. Raises RequestError with that name and what to do.

    Unpacking large ones takes up to a second: not for the event loop.
    """
    if len(images) > IMAGES_MAX:
        raise RequestError(reason=f"{len(images)} images are too many: a request may have {IMAGES_MAX}; send fewer")
    total = 0
    for name, image in images:
        try:
            width, height = size_of(image)
            check_size((width, height))
        except BadImage as error:
            raise RequestError(reason=f"{name}: {error}") from error
        total += width * height
    if total > TOTAL_MAX:
        most = f"a request may have {TOTAL_MAX // 1_000_000} megapixels: send fewer or smaller ones"
        raise RequestError(reason=f"the images have {total} pixels together; {most}")


@dataclass(frozen=True, slots=True)
class Images:
    """Those of one request, in order, with what they are called in it, and the mark that stands for them in a text."""

    names: tuple[str, ...]
    files: tuple[bytes, ...]
    mark: str

    @classmethod
    def of(cls, named: Sequence[tuple[str, bytes]]) -> "Images":
        return cls(tuple(name for name, _ in named), tuple(image for _, image in named), new_mark())

    def check(self) -> None:
        """Raises what check() raises."""
        check(list(zip(self.names, self.files, strict=True)))


NO_IMAGES = Images((), (), "")


def of_messages(messages: Sequence[Message]) -> list[tuple[str, bytes]]:
    """All images with their names, counted from 0."""
    return [
        (f"messages[{at}].images[{number}]", image)
        for at, message in enumerate(messages)
        for number, image in enumerate(message.images)
    ]


def check_size(size: Size) -> None:
    """Raises BadImage."""
    width, height = size
    if not width or not height:
        raise BadImage(f"it is {width}x{height} pixels; {WAY_OUT}")
    if width * height > PIXELS_MAX:
        most = f"at most {PIXELS_MAX // 1_000_000} megapixels are taken: scale it down"
        raise BadImage(f"it has {width}x{height} pixels; {most}")


def size_of(image: bytes) -> Size:
    """Width and height. Raises BadImage for what is no image, a damaged one, or one in a format that is not read."""
    if image.startswith(PNG):
        return png_size(image)
    if image.startswith(JPEG):
        return jpeg_size(image)
    if image.startswith(b"BM"):
        return bmp_size(image)
    if image.startswith((b"GIF87a", b"GIF89a")):
        return gif_size(image)
    raise BadImage(f"it is {named(image)}; {WAY_OUT}")


def named(image: bytes) -> str:
    """What the bytes are that are not taken."""
    if not image:
        return "empty"
    if image.startswith(b"RIFF") and image[8:12] == b"WEBP":
        return "a WebP image, which is not read"
    if image[4:12] in {b"ftypavif", b"ftypheic", b"ftypheix", b"ftypmif1"}:
        return "an AVIF or HEIC image, which is not read"
    if image.startswith((b"II*\0", b"MM\0*")):
        return "a TIFF image, which is not read"
    return "no image, or one of a format that is not known"


def png_size(image: bytes) -> Size:
    """Of a PNG that is whole: every checksum is right, and its pixels are all there."""
    chunks = list(png_chunks(image))
    kinds = [kind for kind, _ in chunks]
    if kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or b"IDAT" not in kinds:
        raise BadImage(f"it is a PNG without its first, its last or its image chunk; {WAY_OUT}")
    width, height, rows = png_header(chunks[0][1])
    check_size((width, height))
    count_pixels((data for kind, data in chunks if kind == b"IDAT"), rows)
    return width, height


def png_chunks(image: bytes) -> Iterable[tuple[bytes, memoryview]]:
    whole, at = memoryview(image), len(PNG)
    kind = b""
    for number in count():
        if kind == b"IEND":
            return
        if number > CHUNKS_MAX:
            raise BadImage(f"the PNG has more than {CHUNKS_MAX} chunks; {WAY_OUT}")
        length = int.from_bytes(whole[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(image):
            raise BadImage(f"the PNG is cut off after {len(image)} bytes; send it again, whole")
        kind = bytes(whole[at + 4 : at + 8])
        if zlib.crc32(whole[at + 4 : end]) != int.from_bytes(whole[end : end + 4], "big"):
            raise BadImage(f"the PNG is damaged: the checksum of its chunk at byte {at} is wrong; send it again, whole")
        yield kind, whole[at + 8 : end]
        at = end + 4


def png_header(data: memoryview) -> tuple[int, int, int]:
    """Width, height, and how many bytes its pixels are unpacked to."""
    width, height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    if len(data) != 13 or data[8] not in DEPTHS.get(data[9], ()) or any(data[10:12]) or data[12] > 1:
        raise BadImage(f"the PNG's header is not valid; {WAY_OUT}")
    bits = data[8] * CHANNELS[data[9]]
    passes = PASSES if data[12] else ((0, 0, 1, 1),)
    rows = 0
    for column, row, right, down in passes:
        across, along = -((column - width) // right), -((row - height) // down)
        rows += along * (1 + (across * bits + 7) // 8) if across > 0 and along > 0 else 0
    return width, height, rows


def count_pixels(parts: Iterable[memoryview], wanted: int) -> None:
    """Unpack the parts and forget them. Raises BadImage unless they hold `wanted` bytes, or if they hold nonsense."""
    unpack, found = zlib.decompressobj(), 0
    try:
        for part in packed(parts):
            rest: bytes | memoryview = part
            while rest and not unpack.eof:
                found += len(unpack.decompress(rest, UNPACKED))
                rest = unpack.unconsumed_tail
                if found > wanted + UNPACKED:
                    raise BadImage(f"the PNG holds more than its {wanted} bytes of pixels; {WAY_OUT}")
            if unpack.eof:
                break
    except zlib.error as error:
        raise BadImage(f"the PNG is damaged: {error}; send it again, whole") from error
    if found < wanted:
        raise BadImage(f"the PNG holds {found} bytes of pixels, {wanted} are wanted; send it again, whole")


def packed(parts: Iterable[memoryview]) -> Iterable[memoryview]:
    return (part[at : at + PACKED] for part in parts for at in range(0, len(part), PACKED))


def jpeg_size(image: bytes) -> Size:
    """By the marker of the frame, which must come before the first scan."""
    if image.count(b"\xff\xda") > SCANS_MAX:
        raise BadImage(f"the JPEG has more than {SCANS_MAX} scans; save it as a baseline JPEG, or send PNG")
    at = 2
    for _ in range(CHUNKS_MAX):
        if image[at : at + 1] != b"\xff" or at + 4 > len(image):
            break
        kind = image[at + 1]
        if kind == 0xFF:
            at += 1
        elif kind in BARE:
            at += 2
        elif kind in FRAMES and at + 9 <= len(image):
            return int.from_bytes(image[at + 7 : at + 9], "big"), int.from_bytes(image[at + 5 : at + 7], "big")
        elif 0xC0 <= kind <= 0xCF and kind not in TABLES:
            raise BadImage("it is a JPEG of a kind that is not read, arithmetic or lossless; send a usual one, or PNG")
        else:
            at += 2 + int.from_bytes(image[at + 2 : at + 4], "big")
    raise BadImage(f"the JPEG is damaged: it has no frame within its {len(image)} bytes; send it again, whole")


def bmp_size(image: bytes) -> Size:
    if len(image) < 26:
        raise BadImage(f"the BMP is cut off after {len(image)} bytes; send it again, whole")
    if int.from_bytes(image[14:18], "little") == 12:
        return int.from_bytes(image[18:20], "little"), int.from_bytes(image[20:22], "little")
    width, height = (int.from_bytes(image[at : at + 4], "little", signed=True) for at in (18, 22))
    return abs(width), abs(height)


def gif_size(image: bytes) -> Size:
    if len(image) < 13 or b"," not in image[13:]:
        raise BadImage(f"the GIF has no picture within its {len(image)} bytes; send it again, whole")
    return int.from_bytes(image[6:8], "little"), int.from_bytes(image[8:10], "little")


def new_mark() -> str:
    """What stands for an image in a prompt, before its number and `]`: nobody can write it in a text."""
    return f"[img-{token_hex(16)}-"


def plain(text: str) -> str:
    """The text with the marks that Ollama would write, which are the same each time: to be counted, or shown."""
    return MARKS.sub(r"[img-\1]", text)


def marked(messages: Sequence[Message], mark: str) -> list[Message]:
    """The messages with a mark for each image, numbered through: where they say `[img]`, in order, the others first."""
    numbers = count()
    return [
        structs.replace(message, content=placed(message, [f"{mark}{next(numbers)}]" for _ in message.images]))
        for message in messages
    ]


def placed(message: Message, marks: Sequence[str]) -> str:
    content, first = message.content, ""
    for each in marks:
        if "[img]" in content:
            content = content.replace("[img]", each, 1)
        else:
            first += each
    return first + content
