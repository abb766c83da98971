"""Go's reading of JSON, with its error texts (contract §2)."""

import tracemalloc

import pytest

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.wire import ChatRequest, GenerateRequest
from hoshikage.api.ollama.wire_manage import CreateRequest

FIELD = "json: cannot unmarshal {} into Go struct field {} of type {}"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "missing request body"),
        (" \n", "missing request body"),
        ("{", "unexpected EOF"),
        ('{"model":', "unexpected EOF"),
        ('{"model":"a"', "unexpected EOF"),
        ('{"model":"a', "unexpected EOF"),
        ("hello", "invalid character 'h' looking for beginning of value"),
        ("{bad}", "invalid character 'b' looking for beginning of object key string"),
        ("{'model':'a'}", "invalid character '\\'' looking for beginning of object key string"),
        ('{"model":"a",}', "invalid character '}' looking for beginning of object key string"),
        ('{"model" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ('{"a":-Infinity}', "invalid character 'I' in numeric literal"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a":[1,{"b":"]"} "c"]}', "invalid character '\"' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ('{"a":nul}', "invalid character '}' in literal null (expecting 'l')"),
        ('{"a":tr', "unexpected EOF"),
        ('{"a":fool}', "invalid character 'o' in literal false (expecting 'a')"),
        ('{"a":-x}', "invalid character 'x' in numeric literal"),
        ('{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"a":1.5e}', "invalid character '}' in exponent of numeric literal"),
        ('{"a":01}', "invalid character '1' after object key:value pair"),
        ('{"a":"x\ny"}', "invalid character '\\n' in string literal"),
        ('{"a":"\x00"}', "invalid character '\\x00' in string literal"),
        ('{"a":"\\q"}', "invalid character 'q' in string escape code"),
        ('{"a":"\\u12G4"}', "invalid character 'G' in \\u hexadecimal character escape"),
        ("星", "invalid character 'æ' looking for beginning of value"),
        ("[]", "json: cannot unmarshal array into Go value of type api.GenerateRequest"),
        ('"x"', "json: cannot unmarshal string into Go value of type api.GenerateRequest"),
        ("123", "json: cannot unmarshal number into Go value of type api.GenerateRequest"),
        ('{"model":1}', FIELD.format("number", "GenerateRequest.model", "string")),
        ('{"stream":"false"}', FIELD.format("string", "GenerateRequest.stream", "bool")),
        ('{"options":[]}', FIELD.format("array", "GenerateRequest.options", "map[string]interface {}")),
        ('{"top_logprobs":1.5}', FIELD.format("number 1.5", "GenerateRequest.top_logprobs", "int")),
        ('{"top_logprobs":1.50}', FIELD.format("number 1.50", "GenerateRequest.top_logprobs", "int")),
        ('{"context":[-2.5e0]}', FIELD.format("number -2.5e0", "GenerateRequest.context", "int")),
        ('{"top_logprobs":1E400}', FIELD.format("number 1E400", "GenerateRequest.top_logprobs", "int")),
        (
            '{"context":[9223372036854775808]}',
            FIELD.format("number 9223372036854775808", "GenerateRequest.context", "int"),
        ),
        ('{"options":{"a":[{"b":1e400}]}}', FIELD.format("number 1e400", "GenerateRequest.options", "float64")),
        ('{"images":"x"}', FIELD.format("string", "GenerateRequest.images", "[]api.ImageData")),
        ('{"images":[{}]}', FIELD.format("object", "GenerateRequest.images", "api.ImageData")),
        ('{"context":"x"}', FIELD.format("string", "GenerateRequest.context", "[]int")),
        ('{"context":[1e300]}', FIELD.format("number 1e300", "GenerateRequest.context", "int")),
        ('{"context":[9223372036854775808]}', FIELD.format(f"number {1 << 63}", "GenerateRequest.context", "int")),
        ('{"context":[1,"x"]}', FIELD.format("string", "GenerateRequest.context", "int")),
    ],
)
def test_a_bad_generate_body_gets_gos_words(body: str, text: str) -> None:
    with pytest.raises(OllamaFault) as caught:
        decode(body.encode(), GenerateRequest)
    assert (caught.value.status, caught.value.text) == (400, text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"messages":"x"}', FIELD.format("string", "ChatRequest.messages", "[]api.Message")),
        (
            '{"messages":[{"role":"user","content":[]}]}',
            FIELD.format("array", "ChatRequest.messages.content", "string"),
        ),
    ],
)
def test_a_bad_chat_body_names_the_field(body: str, text: str) -> None:
    with pytest.raises(OllamaFault) as caught:
        decode(body.encode(), ChatRequest)
    assert caught.value.text == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"files":[]}', FIELD.format("array", "CreateRequest.files", "map[string]string")),
        ('{"adapters":{"a":1}}', FIELD.format("number", "CreateRequest.adapters", "string")),
    ],
)
def test_a_map_of_texts_names_its_type(body: str, text: str) -> None:
    with pytest.raises(OllamaFault) as caught:
        decode(body.encode(), CreateRequest)
    assert caught.value.text == text
    assert decode(b'{"files":{"a":null,"b":"c"}}', CreateRequest).files == {"a": "", "b": "c"}


def test_null_is_absence_and_keys_fold_case() -> None:
    found = decode(b'{"MODEL":"a","stream":null,"Prompt":"p","options":null}', GenerateRequest)
    assert (found.model, found.stream, found.prompt, found.options) == ("a", True, "p", {})


def test_null_in_a_list_is_an_element_without_a_value() -> None:
    found = decode(b'{"context":[1,null],"images":[null]}', GenerateRequest)
    assert (found.context, found.images) == ([1, 0], [b""])


def test_null_alone_is_an_empty_request() -> None:
    assert decode(b"null", GenerateRequest).model == ""


def test_what_follows_the_first_value_is_ignored_and_the_last_key_wins() -> None:
    assert decode(b'{"model":"a","model":"b"}{"model":"c"} x', GenerateRequest).model == "b"


def test_a_whole_float_is_an_integer() -> None:
    assert decode(b'{"top_logprobs":5.0}', GenerateRequest).top_logprobs == 5


def test_invalid_utf8_and_lone_surrogates_become_replacement_characters() -> None:
    assert decode(b'{"prompt":"a\xffb"}', GenerateRequest).prompt == "a\ufffdb"
    assert decode(b'{"prompt":"a\\ud800b \\ud83c\\udf1f"}', GenerateRequest).prompt == "a\ufffdb 🌟"


def test_very_deep_nesting_is_refused_not_fatal() -> None:
    with pytest.raises(OllamaFault, match="max depth"):
        decode(b'{"options":' + b"[" * 200_000, GenerateRequest)


@pytest.mark.parametrize("end", ['!"]}', '"] 1}', '\\n!"]}'], ids=["base64", "syntax", "line end"])
def test_a_mistake_behind_a_large_image_is_found_in_little_memory(end: str) -> None:
    body = b'{"images":["' + b"A" * (1 << 20) + end.encode()
    tracemalloc.start()
    try:
        with pytest.raises(OllamaFault, match=r"illegal base64 data|after object key:value pair"):
            decode(body, GenerateRequest)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(body)
    finally:
        tracemalloc.stop()
