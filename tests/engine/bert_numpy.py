"""BERT's forward pass in numpy (arXiv:1810.04805), the oracle of the rank pooling: one sequence, all of type 0."""

import numpy as np
from numpy.typing import NDArray

from fixtures.bert_gguf import Shape, Tensors

Floats = NDArray[np.float32]


def score(tokens: list[int], tensors: Tensors, shape: Shape) -> float:
    """The classifier's output for the first token of the last layer."""
    first = hidden(tokens, tensors, shape)[0]
    return float(linear(np.tanh(linear(first, tensors, "cls")), tensors, "cls.output")[0])


def hidden(tokens: list[int], tensors: Tensors, shape: Shape) -> Floats:
    """The last layer, one row a token."""
    x = tensors["token_embd.weight"][tokens] + tensors["token_types.weight"][0]
    x = norm(x + tensors["position_embd.weight"][: len(tokens)], tensors, "token_embd_norm", shape)
    for layer in range(shape.layers):
        x = block(x, tensors, f"blk.{layer}", shape)
    return x


def block(x: Floats, tensors: Tensors, name: str, shape: Shape) -> Floats:
    attended = linear(attention(x, tensors, name, shape.heads), tensors, f"{name}.attn_output")
    x = norm(x + attended, tensors, f"{name}.attn_output_norm", shape)
    inner = gelu(linear(x, tensors, f"{name}.ffn_up"))
    return norm(x + linear(inner, tensors, f"{name}.ffn_down"), tensors, f"{name}.layer_output_norm", shape)


def attention(x: Floats, tensors: Tensors, name: str, heads: int) -> Floats:
    q, k, v = (split(linear(x, tensors, f"{name}.attn_{part}"), heads) for part in "qkv")
    weights = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]))
    mixed = weights / weights.sum(axis=-1, keepdims=True) @ v
    return np.asarray(mixed.transpose(1, 0, 2).reshape(x.shape), np.float32)


def split(x: Floats, heads: int) -> Floats:
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def linear(x: Floats, tensors: Tensors, name: str) -> Floats:
    return np.asarray(x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"], np.float32)


def norm(x: Floats, tensors: Tensors, name: str, shape: Shape) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(x.var(axis=-1, keepdims=True) + shape.eps)
    return np.asarray(scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"], np.float32)


def gelu(x: Floats) -> Floats:
    """The tanh form, which is llama.cpp's; it differs from the exact one by less than 0.001."""
    return np.asarray(x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), np.float32)
