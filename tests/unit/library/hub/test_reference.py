"""How people write models of the hub."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import HwledgerError, UsageError
from hwledger.library.hub.reference import HubReference, parse_reference

R = HubReference
WRITTEN = {
    "Qwen/Qwen3-32B": R("Qwen/Qwen3-32B"),
    " Qwen/Qwen3-32B ": R("Qwen/Qwen3-32B"),
    "Qwen/Qwen3-32B@v1.0": R("Qwen/Qwen3-32B", "v1.0"),
    "Qwen/Qwen3-32B@refs/pr/3": R("Qwen/Qwen3-32B", "refs/pr/3"),
    "org/repo-GGUF:Q4_K_M": R("org/repo-GGUF", None, "", "Q4_K_M"),
    "org/repo-GGUF@main:IQ2_XXS": R("org/repo-GGUF", "main", "", "IQ2_XXS"),
    "hf://org/repo": R("org/repo"),
    "hf.co/org/repo-GGUF:Q8_0": R("org/repo-GGUF", None, "", "Q8_0"),
    "huggingface.co/org/repo": R("org/repo"),
    "https://huggingface.co/org/repo": R("org/repo"),
    "https://huggingface.co/org/repo/": R("org/repo"),
    "https://huggingface.co/org/repo/tree/main": R("org/repo"),
    "https://huggingface.co/org/repo/tree/v2": R("org/repo", "v2"),
    "https://huggingface.co/org/repo/tree/refs%2Fpr%2F1": R("org/repo", "refs/pr/1"),
    "https://huggingface.co/org/repo/tree/main/sub": R("org/repo", None, "sub"),
    "https://huggingface.co/org/repo/blob/main/a/b.gguf": R("org/repo", None, "a/b.gguf"),
    "https://huggingface.co/org/repo/resolve/main/b.gguf?download=true": R("org/repo", None, "b.gguf"),
    "https://huggingface.co/org/repo?show_file_info=b.gguf": R("org/repo", None, "b.gguf"),
    "https://huggingface.co/org/repo?library=transformers#use": R("org/repo"),
    "https://huggingface.co/gpt2": R("gpt2"),
    "https://hf-mirror.com/org/repo": R("org/repo"),
    "org/repo/sub/file.gguf": R("org/repo", None, "sub/file.gguf"),
    "org/repo@v1/file.gguf": R("org/repo", "v1", "file.gguf"),
}


@pytest.mark.requirement("FR-SRC-HUB")
@pytest.mark.parametrize("text", WRITTEN)
def test_every_spelling_names_its_model(text: str) -> None:
    """Names, revisions, quantisations, paths and addresses as they are copied from pages are understood."""
    assert parse_reference(text, short=True) == WRITTEN[text]


@pytest.mark.requirement("FR-SRC-HUB")
@pytest.mark.parametrize(
    "text", ["", "a", "a b/c", "../x/y", "org/repo:Q4:Q5", "https://example.org/a/b", "/a/b"]
)
def test_what_is_no_model_of_the_hub_is_left_to_others(text: str) -> None:
    """Other texts are not claimed."""
    assert parse_reference(text) is None


@pytest.mark.requirement("FR-SRC-HUB")
@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/datasets/org/data",
        "https://huggingface.co/spaces/org/app",
        "https://huggingface.co/",
        "https://huggingface.co/org/repo/blob/main/../../../etc/passwd",
    ],
)
def test_a_page_of_the_hub_that_is_no_model_is_said(text: str) -> None:
    """Data sets, apps and paths that climb out end in a sentence that says what to give."""
    with pytest.raises(UsageError, match="give the page of"):
        parse_reference(text)


@pytest.mark.requirement("FR-SRC-HUB")
def test_an_endpoint_of_ones_own_is_known_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of HF_ENDPOINT are addresses of the hub, under a path too."""
    monkeypatch.setenv("HF_ENDPOINT", "https://models.example.org/hub/")
    assert parse_reference("https://models.example.org/hub/org/repo/tree/v1") == R("org/repo", "v1")
    assert parse_reference("https://models.example.org/other/org/repo") is None


@pytest.mark.requirement("NFR-BAD-INPUT")
@given(st.text(max_size=80).map(lambda text: f"https://huggingface.co/{text}") | st.text(max_size=80))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """No other exception comes out of arbitrary text, and no path leads out of a repository."""
    try:
        found = parse_reference(text, short=True)
    except HwledgerError:
        return
    assert found is None or ".." not in found.path.split("/")
