"""Names of models in Ollama."""

import pytest

from hwledger.library.ollama.reference import parse_name, states_tag

pytestmark = pytest.mark.requirement("FR-SRC-OLLAMA")


@pytest.mark.parametrize(
    ("said", "parts", "shown"),
    [
        ("qwen3:8b", ("registry.ollama.ai", "library", "qwen3", "8b"), "qwen3:8b"),
        ("qwen3", ("registry.ollama.ai", "library", "qwen3", "latest"), "qwen3:latest"),
        ("user/model:tag", ("registry.ollama.ai", "user", "model", "tag"), "user/model:tag"),
        ("hf.co/org/repo-GGUF:Q4_K_M", ("hf.co", "org", "repo-GGUF", "Q4_K_M"), "hf.co/org/repo-GGUF:Q4_K_M"),
        ("localhost:5000/a/b", ("localhost:5000", "a", "b", "latest"), "localhost:5000/a/b:latest"),
        ("https://hf.co/org/repo", ("hf.co", "org", "repo", "latest"), "hf.co/org/repo:latest"),
        ("registry.ollama.ai/library/a:1b", ("registry.ollama.ai", "library", "a", "1b"), "a:1b"),
    ],
)
def test_names_are_read_as_ollama_reads_them(said: str, parts: tuple[str, ...], shown: str) -> None:
    """What is left out is filled in, and the short form comes back."""
    name = parse_name(said)
    assert name
    assert name.parts == parts
    assert str(name) == shown
    assert parse_name(str(name)) == name


@pytest.mark.parametrize(
    "said",
    [
        "",
        ":",
        "::",
        "a:",
        "a b",
        "a/b/c/d",
        "../x",
        "a/../b",
        "/a",
        "a:../../etc",
        "a\0",
        "{}",
        "x" * 5000,
        "ä:1",
    ],
)
def test_what_is_no_name_is_none(said: str) -> None:
    """Nothing that could lead out of the store or that Ollama refuses is a name."""
    assert parse_name(said) is None


def test_a_port_is_no_tag() -> None:
    """An address is not mistaken for a model with a tag."""
    assert states_tag("qwen3:8b")
    assert states_tag("hf.co/a/b:Q4_K_M")
    assert not states_tag("qwen3")
    assert not states_tag("localhost:8000")
    assert not states_tag("localhost:8000/a/b")
