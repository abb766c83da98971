"""40.0 is an integer wherever one is asked for: clients whose language has one kind of number send it so."""

import pytest

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.options import KINDS, options_of
from hoshikage.api.ollama.wire import ChatRequest, GenerateRequest
from hoshikage.api.ollama.wire_embed import EmbedRequest
from hoshikage.api.openai.options import sampling_of
from hoshikage.api.openai.wire import decode as decode_openai
from hoshikage.api.openai.wire import to_ask

INTEGERS = sorted(name for name, kind in KINDS.items() if kind == "of type integer")
SAMPLING = ("seed", "top_k", "repeat_last_n", "mirostat", "min_keep")
OWN = {"max_tokens": "num_predict", "max_completion_tokens": "num_predict", "num_ctx": "num_ctx"}
ASK = '{"model":"m","messages":[{"role":"user","content":"x"}],%s}'


def test_the_options_of_ollama_that_are_integers_are_known() -> None:
    named = {"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict"}
    assert named | {"num_keep", "seed", "num_predict", "top_k", "repeat_last_n"} <= set(INTEGERS)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(("given", "taken"), [(40.0, 40), (-1.0, -1), (4e1, 40), (4.9, 4), (-4.9, -4)])
def test_an_option_is_cut_to_its_integer(name: str, given: float, taken: int) -> None:
    found = options_of({name: given})[name]
    assert (found, type(found)) == (taken, int)


def test_fields_that_are_integers_take_whole_floats() -> None:
    asked = decode(b'{"top_logprobs":5.0,"context":[1.0,2e0,3]}', GenerateRequest)
    assert repr((asked.top_logprobs, asked.context)) == "(5, [1, 2, 3])"
    assert repr(decode(b'{"dimensions":64.0}', EmbedRequest).dimensions) == "64"
    call = b'{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","index":1.0}}]}]}'
    assert repr(decode(call, ChatRequest).messages[0].tool_calls[0].function.index) == "1"


@pytest.mark.parametrize("body", [b'{"top_logprobs":5.5}', b'{"context":[1.5]}'])
def test_a_field_does_not_take_a_fraction(body: bytes) -> None:
    with pytest.raises(OllamaFault, match=r"cannot unmarshal number \d\.5 into Go struct field"):
        decode(body, GenerateRequest)


@pytest.mark.parametrize("name", SAMPLING)
def test_a_sampling_option_of_openai_takes_whole_floats(name: str) -> None:
    assert repr(sampling_of(f'{{"{name}":2.0}}'.encode())[name]) == "2"


@pytest.mark.parametrize(("name", "option"), OWN.items())
def test_a_limit_of_openai_takes_whole_floats(name: str, option: str) -> None:
    body = (ASK % f'"{name}":64.0,"n":1.0,"logprobs":true,"top_logprobs":2.0').encode()
    ask = to_ask(decode_openai(body), {}, "me")
    assert repr((ask.chat.options[option], ask.chat.logprobs)) == "(64, 2)"
