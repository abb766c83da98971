"""What names of the Hugging Face hub mean."""

import pytest

from hoshikage.errors import BadName
from hoshikage.models.hubs.hf_names import parse

MEANT = [
    # typed, repository, revision, wanted, registered name
    ("hf.co/org/repo", "org/repo", "main", "", "hf.co/org/repo"),
    (" hf.co/org/repo:latest ", "org/repo", "main", "", "hf.co/org/repo:latest"),
    ("HF.co/Org/Repo-GGUF:q4_k_m", "Org/Repo-GGUF", "main", "q4_k_m", "HF.co/Org/Repo-GGUF:q4_k_m"),
    ("hf.co/org/repo:m.Q8_0.gguf", "org/repo", "main", "m.Q8_0.gguf", "hf.co/org/repo:m.Q8_0.gguf"),
    ("huggingface.co/org/repo/m.gguf", "org/repo", "main", "m.gguf", "huggingface.co/org/repo:m.gguf"),
    ("hf.co/org/repo/sub/m.gguf", "org/repo", "main", "sub/m.gguf", "hf.co/org/repo:m.gguf"),
    ("hf.co/org/repo:sub/m.gguf", "org/repo", "main", "sub/m.gguf", "hf.co/org/repo:m.gguf"),
    ("https://huggingface.co/org/repo", "org/repo", "main", "", "huggingface.co/org/repo"),
    ("https://huggingface.co/org/repo/", "org/repo", "main", "", "huggingface.co/org/repo"),
    ("https://huggingface.co/org/repo/tree/main", "org/repo", "main", "", "huggingface.co/org/repo"),
    ("https://huggingface.co/org/repo/tree/main/Q8_0", "org/repo", "main", "Q8_0", "huggingface.co/org/repo:Q8_0"),
    ("https://hf.co/org/repo/blob/v1/a/m.gguf", "org/repo", "v1", "a/m.gguf", "hf.co/org/repo:m.gguf"),
    (
        "https://huggingface.co/org/repo/resolve/main/a%20b.gguf?download=true",
        *("org/repo", "main", "a b.gguf", "huggingface.co/org/repo:a-b.gguf"),
    ),
    ("org/repo", "org/repo", "main", "", "org/repo"),
    ("org/repo:IQ4_XS", "org/repo", "main", "IQ4_XS", "org/repo:IQ4_XS"),
]


@pytest.mark.parametrize(("typed", "repo", "revision", "wanted", "name"), MEANT)
def test_a_name_means_a_repository_and_what_is_wanted_of_it(
    typed: str, repo: str, revision: str, wanted: str, name: str
) -> None:
    source = parse(typed)
    assert source is not None
    assert (source.repo, source.revision, source.wanted, source.name) == (repo, revision, wanted, name)


@pytest.mark.parametrize(
    "typed",
    [
        *("gemma3:4b", "pypi:a/b", "registry.ollama.ai/library/gemma3", "localhost:5000/a/b", "a.b/c", "a/b/c", ""),
        *("hf.co", "hf.co/org", "https://example.com/org/repo", "https://huggingface.co/datasets/org", "./m.gguf"),
        *("hf.co/org/../x", "hf.co/org/repo:", "hf.co//repo"),
    ],
)
def test_other_names_are_left_to_other_hubs(typed: str) -> None:
    assert parse(typed) is None


def test_only_a_bare_name_has_no_host() -> None:
    assert [source.host for source in map(parse, ("org/repo", "HF.CO/org/repo")) if source] == ["", "hf.co"]


def test_a_name_under_which_nothing_can_be_registered_is_refused() -> None:
    with pytest.raises(BadName):
        parse(f"hf.co/org/{'r' * 90}")
