"""The only importer of llguidance: a vocabulary and the matchers made with it. Knows no requests.

Its C API is bound here by ctypes: its Python classes hold the interpreter while they take a vocabulary in, a tenth of a
second for 49k tokens and a second for 262k, in which no stream of the worker could go on.
"""

import ctypes
import json
from array import array
from collections.abc import Iterable, Sequence

import numpy as np
from llguidance import LLMatcher, _lib
from llguidance.gbnf_to_lark import gbnf_to_lark as gbnf_to_lark
from numpy.typing import NDArray

from hoshikage.errors import SequenceFailed

CONTROL = b"\xff"
"""Before the text of a control token, so that no grammar spells text with it."""
REASON_LENGTH = 300
"""Characters of llguidance's words that are passed on; its source excerpts and states follow them."""

LIMITS = {
    "max_items_in_row": 1000,
    "initial_lexer_fuel": 200_000,
    "step_lexer_fuel": 50_000,
    "step_max_items": 20_000,
    "max_lexer_states": 20_000,
    "max_grammar_size": 30_000,
    "verbose_errors": False,
}
"""A fifth or less of llguidance's own, which allow steps of half a second; 300 tools use a third of each."""


class Limits(ctypes.Structure):
    """`ParserLimits`: what bounds the building of a matcher, and each of its steps."""

    _fields_ = (
        ("max_items_in_row", ctypes.c_size_t),
        ("initial_lexer_fuel", ctypes.c_uint64),
        ("step_lexer_fuel", ctypes.c_uint64),
        ("step_max_items", ctypes.c_size_t),
        ("max_lexer_states", ctypes.c_size_t),
        ("max_grammar_size", ctypes.c_size_t),
        ("precompute_large_lexemes", ctypes.c_bool),
        ("verbose_errors", ctypes.c_bool),
    )


class TokenizerInit(ctypes.Structure):
    """`LlgTokenizerInitV2`."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("vocab_size", ctypes.c_uint32),
        ("tok_eos", ctypes.c_uint32),
        ("token_lens", ctypes.c_void_p),
        ("token_bytes", ctypes.c_char_p),
        ("tokenizer_json", ctypes.c_char_p),
        ("tokenize_assumes_string", ctypes.c_bool),
        ("tokenize_fn", ctypes.c_void_p),
        ("use_approximate_greedy_tokenize_fn", ctypes.c_bool),
        ("tokenize_user_data", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
        ("tok_eos_extra", ctypes.c_void_p),
        ("tok_eos_extra_count", ctypes.c_uint32),
    )


class MatcherInit(ctypes.Structure):
    """`LlgConstraintInit`."""

    _fields_ = (
        ("tokenizer", ctypes.c_void_p),
        ("log_buffer_level", ctypes.c_uint32),
        ("log_stderr_level", ctypes.c_uint32),
        ("ff_tokens_ok", ctypes.c_bool),
        ("backtrack_ok", ctypes.c_bool),
        ("limits", Limits),
    )


SLOW = ctypes.CDLL(_lib.__file__)
"""For calls that may take long: they let other threads run."""
QUICK = ctypes.PyDLL(_lib.__file__)
"""For calls of microseconds: a step that gave the interpreter away would wait to have it back."""

SIGNATURES = (
    (SLOW.llg_new_tokenizer_v2, ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)),
    (SLOW.llg_free_tokenizer, None, (ctypes.c_void_p,)),
    (SLOW.llg_new_matcher, ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)),
    (SLOW.llg_matcher_compute_mask_into, ctypes.c_int32, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
    (QUICK.llg_constraint_init_set_defaults, None, (ctypes.c_void_p, ctypes.c_void_p)),
    (QUICK.llg_clone_matcher, ctypes.c_void_p, (ctypes.c_void_p,)),
    (QUICK.llg_free_matcher, None, (ctypes.c_void_p,)),
    (QUICK.llg_matcher_compute_mask_into, ctypes.c_int32, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
    (QUICK.llg_matcher_consume_token, ctypes.c_int32, (ctypes.c_void_p, ctypes.c_uint32)),
    (QUICK.llg_matcher_get_error, ctypes.c_char_p, (ctypes.c_void_p,)),
    (QUICK.llg_matcher_is_stopped, ctypes.c_bool, (ctypes.c_void_p,)),
)
for function, result, arguments in SIGNATURES:
    function.restype, function.argtypes = result, arguments


class Vocabulary:
    """Owns llguidance's view of a vocabulary, given by the bytes of each token. Raises ValueError.

    `control` tokens match no text, `ends` are allowed where the text may end. Taking it in: 0.1 s for 49k tokens.
    """

    def __init__(self, texts: Sequence[bytes], control: Iterable[int], ends: Sequence[int]) -> None:
        self.size = len(texts)
        self.ends = frozenset(ends)
        self.control = {texts[token]: token for token in control}
        special = set(self.control.values())
        texts = [CONTROL + text if token in special else text for token, text in enumerate(texts)]
        if not ends:
            raise ValueError("its vocabulary has no token that ends a text")
        lengths, more = array("I", map(len, texts)), array("I", ends)
        init = TokenizerInit(
            struct_size=ctypes.sizeof(TokenizerInit),
            vocab_size=self.size,
            tok_eos=more[0],
            token_lens=lengths.buffer_info()[0],
            token_bytes=b"".join(texts),
            use_approximate_greedy_tokenize_fn=True,
            tok_eos_extra=more.buffer_info()[0],
            tok_eos_extra_count=len(more),
        )
        error = ctypes.create_string_buffer(REASON_LENGTH)
        self.handle = SLOW.llg_new_tokenizer_v2(ctypes.byref(init), error, len(error))
        if not self.handle:
            raise ValueError(words(error.value))

    def close(self) -> None:
        """No matcher may be in use any more."""
        if self.handle:
            SLOW.llg_free_tokenizer(self.handle)
            self.handle = None

    def matcher(self, language: str, source: str) -> "Matcher":
        """What matches `source`: a regex, json_schema, lark or llguidance text. Raises ValueError with the reason."""
        init = MatcherInit()
        QUICK.llg_constraint_init_set_defaults(ctypes.byref(init), self.handle)
        init.log_stderr_level = 0
        for name, value in LIMITS.items():
            setattr(init.limits, name, value)
        handle = SLOW.llg_new_matcher(ctypes.byref(init), language.encode(), source.encode("utf-8", "replace"))
        matcher = Matcher(handle, self)
        if reason := matcher.error():
            matcher.close()
            raise ValueError(reason)
        return matcher


class Matcher:
    """Owns the state of one text in its grammar."""

    def __init__(self, handle: int, vocabulary: Vocabulary) -> None:
        self._handle: int | None = handle
        self._vocabulary = vocabulary
        self.n_vocab = vocabulary.size
        self._mask = np.zeros((vocabulary.size + 31) // 32, np.int32)
        self.complete = False
        """Whether the text can only end here."""
        self.warnings: tuple[str, ...] = ()
        """What of the grammar is not enforced."""

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if self._handle:
            QUICK.llg_free_matcher(self._handle)
            self._handle = None

    def copy(self) -> "Matcher":
        """An independent matcher in the same state; 15 to 60 µs."""
        twin = Matcher(QUICK.llg_clone_matcher(self._handle), self._vocabulary)
        twin.complete, twin.warnings = self.complete, self.warnings
        return twin

    def mask(self) -> NDArray[np.int32]:
        """One bit a token, lowest first: whether the text may go on with it. Overwritten by the next mask().

        Raises SequenceFailed.
        """
        if QUICK.llg_matcher_compute_mask_into(self._handle, self._mask.ctypes.data, self._mask.nbytes):
            raise SequenceFailed(reason=f"the constraint cannot go on: {self.error()}")
        return self._mask

    def accept(self, token: int) -> None:
        """Go on with a token that the mask allows. Raises SequenceFailed."""
        if token in self._vocabulary.ends:
            return
        if QUICK.llg_matcher_consume_token(self._handle, token):
            raise SequenceFailed(reason=f"the constraint cannot go on: {self.error()}")
        self.complete = bool(QUICK.llg_matcher_is_stopped(self._handle))

    def warm(self) -> None:
        """Compute the first mask, which is the dearest, letting other threads run. Raises ValueError."""
        if SLOW.llg_matcher_compute_mask_into(self._handle, self._mask.ctypes.data, self._mask.nbytes):
            raise ValueError(self.error())

    def error(self) -> str:
        """What went wrong, in one line; "" if nothing did."""
        return words(QUICK.llg_matcher_get_error(self._handle) or b"")


def words(error: bytes) -> str:
    """llguidance's own reason without what it appends for its developers."""
    text = error.decode("utf-8", "replace").partition("\n<")[0]
    return " ".join(text.split())[:REASON_LENGTH]


def regex_grammar(regex: str) -> dict[str, object]:
    """A regular expression as one grammar of a list of grammars."""
    grammars: list[dict[str, object]] = json.loads(LLMatcher.grammar_from_regex(regex))["grammars"]
    return grammars[0]
