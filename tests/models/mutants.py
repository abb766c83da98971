"""Damaged copies of a GGUF file: taken apart into keys and tensors, changed by a seeded random, put together again."""

import random
import struct
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from hoshikage.models.ggml_types import TENSOR_TYPES

ARCHITECTURES = b"""bert gemma gemma2 gemma3 gemma3n qwen2 qwen3 qwen2moe phi3 falcon gpt2 mamba mamba2 rwkv6 rwkv7 t5
    t5encoder starcoder2 deepseek2 command-r olmo2 granite jamba lfm2 nomic-bert clip wavtokenizer-dec gptneox bloom mpt
    none llama4 gpt-oss""".split()
EXTRAS = [
    *((name, 4) for name in b"""attention.head_count_kv attention.key_length attention.value_length expert_count
    expert_used_count attention.sliding_window vocab_size pooling_type embedding_length_out rope.dimension_count
    rope.scaling.original_context_length leading_dense_block_count attention.group_norm_groups""".split()),
    *((name, 6) for name in b"""rope.freq_base rope.scaling.factor rope.scaling.attn_factor attention.clamp_kqv
    attention.scale attention.max_alibi_bias logit_scale attention.layer_norm_epsilon""".split()),
    *((name, 7) for name in b"attention.causal use_parallel_residual rope.scaling.finetuned".split()),
]  # fmt: skip

T = TypeVar("T")
Random = random.Random

WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
UINT8, UINT32, STRING, ARRAY = 0, 4, 8, 9
ALIGNMENT = 32
LIES = (0, 1, 5, 9, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


class Key(NamedTuple):
    """`value` is what follows the type in the file."""

    name: bytes
    kind: int
    value: bytes


class Tensor(NamedTuple):
    name: bytes
    shape: tuple[int, ...]
    kind: int
    offset: int


class Parts(NamedTuple):
    keys: tuple[Key, ...]
    tensors: tuple[Tensor, ...]
    data: bytes


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 8

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def text(self) -> bytes:
        return self.take(self.number(8))

    def value(self, kind: int) -> bytes:
        start = self.at
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            element, count = self.number(4), self.number(8)
            for _ in range(count):
                self.value(element)
        else:
            self.take(WIDTHS[kind])
        return self.data[start : self.at]

    def key(self) -> Key:
        name, kind = self.text(), self.number(4)
        return Key(name, kind, self.value(kind))

    def tensor(self) -> Tensor:
        name = self.text()
        shape = tuple(self.number(8) for _ in range(self.number(4)))
        return Tensor(name, shape, self.number(4), self.number(8))


def taken_apart(data: bytes) -> Parts:
    reader = Reader(data)
    tensor_count, key_count = reader.number(8), reader.number(8)
    keys = tuple(reader.key() for _ in range(key_count))
    tensors = tuple(reader.tensor() for _ in range(tensor_count))
    return Parts(keys, tensors, data[-(-reader.at // ALIGNMENT) * ALIGNMENT :])


def header_of(parts: Parts) -> bytes:
    keys = [text(name) + struct.pack("<I", kind) + value for name, kind, value in parts.keys]
    tensors = [
        text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        for name, shape, kind, offset in parts.tensors
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys + tensors)


def put_together(parts: Parts) -> bytes:
    header = header_of(parts)
    return header + bytes(-len(header) % ALIGNMENT) + parts.data


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def lengths(parts: Parts) -> list[int]:
    """Where in the file the counts and the lengths of texts and arrays are."""
    found, at = [8, 16], 24
    for key in parts.keys:
        found.append(at)
        value = at + 12 + len(key.name)
        found += {STRING: [value], ARRAY: [value + 4]}.get(key.kind, [])
        at = value + len(key.value)
    for tensor in parts.tensors:
        found.append(at)
        at += 24 + len(tensor.name) + 8 * len(tensor.shape)
    return found


def bits(rng: Random, parts: Parts) -> bytes:
    data, end = bytearray(put_together(parts)), len(header_of(parts))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(data)


def ranges(rng: Random, parts: Parts) -> bytes:
    data, end = bytearray(put_together(parts)), len(header_of(parts))
    for _ in range(rng.randint(1, 3)):
        at, count = rng.randrange(end), rng.randint(1, 64)
        data[at : at + count] = rng.choice([rng.randbytes(count), bytes(count), b"\xff" * count, b""])
    return bytes(data)


def counts(rng: Random, parts: Parts) -> bytes:
    data = bytearray(put_together(parts))
    at = rng.choice(lengths(parts))
    old = int.from_bytes(data[at : at + 8], "little")
    lie = rng.choice((*LIES, old + 1, abs(old - 1), len(data), len(data) - at, rng.randrange(2**64)))
    data[at : at + 8] = struct.pack("<Q", lie)
    return bytes(data)


def dims(rng: Random, parts: Parts) -> bytes:
    def changed(tensor: Tensor) -> Tensor:
        shape = list(tensor.shape)
        shape[rng.randrange(len(shape))] = rng.choice((*LIES, 32, 33, 64, 259, 2**33 + 1))
        return tensor._replace(shape=tuple(shape + rng.choice([[], [], [1], [2**33], [2**31, 2**31]])))

    return put_together(with_tensor(rng, parts, changed))


def n_dims(rng: Random, parts: Parts) -> bytes:
    def changed(tensor: Tensor) -> Tensor:
        return tensor._replace(shape=(*tensor.shape[: rng.randint(0, 1)], *[1] * rng.choice((0, 1, 3, 4, 7, 9, 1000))))

    return put_together(with_tensor(rng, parts, changed))


def places(rng: Random, parts: Parts) -> bytes:
    end = len(parts.data)

    def changed(tensor: Tensor) -> Tensor:
        return tensor._replace(offset=rng.choice((*LIES, end, end - 32, end + 32, 2**64 - 32, 33, 64, 2**63 - 32)))

    return put_together(with_tensor(rng, parts, changed))


def alignments(rng: Random, parts: Parts) -> bytes:
    value = struct.pack("<Q", rng.choice((*LIES, 3, 8, 16, 24, 64)))
    kind = rng.choice((UINT32, UINT32, UINT32, *WIDTHS))
    key = Key(b"general.alignment", kind, value[: WIDTHS[kind]])
    return put_together(parts._replace(keys=(*parts.keys, key)))


def doubles(rng: Random, parts: Parts) -> bytes:
    if rng.random() < 0.5:
        keys = [*parts.keys]
        keys.insert(rng.randrange(len(keys) + 1), rng.choice(keys)._replace(name=rng.choice(keys).name))
        return put_together(parts._replace(keys=tuple(keys)))
    tensors = [*parts.tensors]
    tensors.insert(rng.randrange(len(tensors) + 1), rng.choice(tensors)._replace(name=rng.choice(tensors).name))
    return put_together(parts._replace(tensors=tuple(tensors)))


def nested(rng: Random, parts: Parts) -> bytes:
    depth = rng.choice((1, 2, 10, 5000))
    value = struct.pack("<IQ", ARRAY, 1) * depth + struct.pack("<IQ", UINT8, 1) + b"\x01"
    return put_together(with_key(rng, parts, lambda key: key._replace(kind=ARRAY, value=value)))


def types(rng: Random, parts: Parts) -> bytes:
    """Another type over the same bytes, or with a value of its own; of an array's elements, or of a tensor."""
    way = rng.randrange(4)
    if way == 0:
        kinds = (*TENSOR_TYPES, 4, 5, 31, 42, 99, 2**31, 2**32 - 1)
        return put_together(with_tensor(rng, parts, lambda tensor: tensor._replace(kind=rng.choice(kinds))))
    if way == 1:
        kinds = (*WIDTHS, STRING, ARRAY, 13, 2**32 - 1)
        return put_together(with_key(rng, parts, lambda key: key._replace(kind=rng.choice(kinds))))
    kind = rng.choice((*WIDTHS, STRING))
    if way == 2:
        return put_together(with_key(rng, parts, lambda key: key._replace(kind=kind, value=valid(rng, kind, 1))))
    count = rng.choice((0, 1, 2, 259))
    value = struct.pack("<IQ", kind, count) + valid(rng, kind, count)
    arrays = [key for key in parts.keys if key.kind == ARRAY]
    victim = rng.choice((*arrays, *arrays, rng.choice(parts.keys)))
    swapped = victim._replace(kind=ARRAY, value=value)
    return put_together(parts._replace(keys=tuple(swapped if key is victim else key for key in parts.keys)))


def valid(rng: Random, kind: int, count: int) -> bytes:
    """So many values of the type."""
    if kind == STRING:
        return b"".join(text(b"%d" % number) for number in range(count))
    return b"".join(struct.pack("<Q", rng.choice((0, 1, 2, 32)))[: WIDTHS[kind]] for _ in range(count))


def absent(rng: Random, parts: Parts) -> bytes:
    if rng.random() < 0.7:
        keys = without(rng, parts.keys, rng.choice((1, 1, 2, 4)))
        return put_together(parts._replace(keys=keys))
    return put_together(parts._replace(tensors=without(rng, parts.tensors, 1)))


def values(rng: Random, parts: Parts) -> bytes:
    def changed(key: Key) -> Key:
        if key.kind == STRING:
            word = rng.choice((b"", b"gpt2", b"llama", b"bert", b"gemma3", b"\xff\xfe", b"{%" * 999, rng.randbytes(9)))
            return key._replace(value=text(word))
        if key.kind == ARRAY:
            return shorter(rng, key)
        number = rng.choice((*LIES, 2, 3, 7, 31, 33, 2**23, 0x7FC00000, 0x7F800000, 258, 259, 260))
        return key._replace(value=struct.pack("<Q", number)[: WIDTHS[key.kind]])

    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        parts = with_key(rng, parts, changed)
    return put_together(parts)


def shorter(rng: Random, key: Key) -> Key:
    """The array with fewer elements; those left are whole."""
    reader = Reader(key.value)
    reader.at = 0
    kind, count = reader.number(4), reader.number(8)
    left = rng.choice((0, 1, max(0, count - 1), rng.randint(0, count)))
    elements = b"".join(reader.value(kind) for _ in range(left))
    return key._replace(value=struct.pack("<IQ", kind, left) + elements)


def extras(rng: Random, parts: Parts) -> bytes:
    """Keys that the file did not have, of other families too; or all of its keys under another architecture's name."""
    if rng.random() < 0.3:
        name = rng.choice(ARCHITECTURES)
        keys = [key._replace(name=key.name.replace(b"llama.", name + b".", 1)) for key in parts.keys]
        keys = [key._replace(value=text(name)) if key.name == b"general.architecture" else key for key in keys]
        return put_together(parts._replace(keys=tuple(keys)))
    added = rng.sample(EXTRAS, rng.choice((1, 1, 2, 3)))
    numbers = (0, 1, 2, 3, 4, 8, 33, 256, 2**31 - 1, 2**31, 2**32 - 1, 0x7FC00000, 0x7F800000, 0xBF800000)
    keys = [Key(b"llama." + name, kind, struct.pack("<I", rng.choice(numbers))[: WIDTHS[kind]]) for name, kind in added]
    return put_together(parts._replace(keys=(*parts.keys, *keys)))


def vocabulary(rng: Random, parts: Parts) -> bytes:
    """The tokenizer's keys of other length, and token ids that are none."""
    chosen = [key for key in parts.keys if key.name.startswith(b"tokenizer.ggml.") and key.kind != STRING]
    victim = rng.choice(chosen)

    def changed(key: Key) -> Key:
        if key is not victim:
            return key
        if key.kind == ARRAY:
            return shorter(rng, key)
        return key._replace(value=struct.pack("<I", rng.choice((0, 258, 259, 260, 2**31 - 1, 2**31, 2**32 - 1))))

    return put_together(parts._replace(keys=tuple(map(changed, parts.keys))))


def cuts(rng: Random, parts: Parts) -> bytes:
    data = put_together(parts)
    return data[: rng.randrange(len(data))]


def with_key(rng: Random, parts: Parts, change: Callable[[Key], Key]) -> Parts:
    at = rng.randrange(len(parts.keys))
    return parts._replace(keys=(*parts.keys[:at], change(parts.keys[at]), *parts.keys[at + 1 :]))


def with_tensor(rng: Random, parts: Parts, change: Callable[[Tensor], Tensor]) -> Parts:
    at = rng.randrange(len(parts.tensors))
    return parts._replace(tensors=(*parts.tensors[:at], change(parts.tensors[at]), *parts.tensors[at + 1 :]))


def without(rng: Random, items: tuple[T, ...], count: int) -> tuple[T, ...]:
    gone = set(rng.sample(range(len(items)), count))
    return tuple(item for at, item in enumerate(items) if at not in gone)


KINDS: dict[str, Callable[[Random, Parts], bytes]] = {
    make.__name__: make
    for make in (
        bits, ranges, counts, dims, n_dims, places, alignments, doubles, nested, types, absent, values, extras,
        vocabulary, cuts
    )
}  # fmt: skip


def mutant(parts: Parts, number: int) -> tuple[str, bytes]:
    """The n-th mutant and its kind; always the same for the same number."""
    kind = [*KINDS][number % len(KINDS)]
    return kind, KINDS[kind](random.Random(number), parts)
