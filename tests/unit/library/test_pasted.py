"""What is copied along with a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.library.pasted import tidied
from hwledger.library.source import open_model

pytestmark = pytest.mark.requirement("FR-SRC-COMMANDS")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<https://huggingface.co/Qwen/Qwen3-32B>", "https://huggingface.co/Qwen/Qwen3-32B"),
        ("'Qwen/Qwen3-32B'", "Qwen/Qwen3-32B"),
        ('"Qwen/Qwen3-32B",', "Qwen/Qwen3-32B"),
        ("`Qwen/Qwen3-32B`.", "Qwen/Qwen3-32B"),
        ("**Qwen/Qwen3-32B**", "Qwen/Qwen3-32B"),
        ("\u201cQwen/Qwen3-32B\u201d", "Qwen/Qwen3-32B"),
        ("[the model](https://huggingface.co/Qwen/Qwen3-32B)", "https://huggingface.co/Qwen/Qwen3-32B"),
        ("Qwen/Qwen3-32B/", "Qwen/Qwen3-32B"),
        ("(Qwen/Qwen3-32B)", "Qwen/Qwen3-32B"),
        (".", "."),
        ("..", ".."),
        ("/", "/"),
        ("''", "''"),
    ],
)
def test_marks_around_a_name_are_taken_off(text: str, name: str) -> None:
    """Quotes, brackets, links and punctuation go; a text of marks alone stays."""
    assert tidied(text) == name


@given(st.text(max_size=60))
def test_tidying_ends_and_adds_nothing(text: str) -> None:
    """Whatever is pasted, the result is a part of it, and empty only where the text is blank."""
    found = tidied(text)
    assert found in text
    assert bool(found) == bool(text.strip())


@pytest.mark.parametrize("text", ["'Qwen/Qwen3-32B'", "catalogue:gpt2,", "CATALOGUE:gpt2"])
def test_the_resolver_takes_what_is_pasted(text: str) -> None:
    """A quoted name, one with a comma and a prefix in capitals open the model."""
    assert open_model(text).layers
