"""Whether a vocabulary has what it takes to fill in the middle, by its file's header. The engine has the last word."""

from pathlib import Path

from hoshikage.models.gguf import Header

PARTS = (
    (("fim_pre", "prefix"), ("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>")),
    (("fim_suf", "suffix"), ("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>")),
    (("fim_mid", "middle"), ("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>")),
)
"""For each of the three tokens: by which keys a header names it, and by which texts llama.cpp knows it without."""
LENGTH_BYTES = 8


def fills(file: Path, header: Header) -> bool:
    """Whether there are tokens for prefix, suffix and middle. Raises OSError."""
    if "tokenizer.ggml.tokens" not in header.metadata:
        return False
    named = [any(f"tokenizer.ggml.{key}_token_id" in header.metadata for key in keys) for keys, _ in PARTS]
    if all(named):
        return True
    with file.open("rb") as opened:
        start = opened.read(header.data_offset)
    return all(
        done or any(map(start.__contains__, map(stored, texts))) for done, (_, texts) in zip(named, PARTS, strict=True)
    )


def stored(text: str) -> bytes:
    """A text as the file holds it: with its length in front, so that it is not found inside a longer one."""
    data = text.encode()
    return len(data).to_bytes(LENGTH_BYTES, "little") + data
