"""Which of several checkpoints in a repository is meant."""

import pytest

from hwledger.errors import AmbiguousError, InputError, MissingError
from hwledger.library.hub.choose import Choice, choose, gguf_models, quant_label
from hwledger.library.hub.reference import parse_reference

GGUF = {
    "README.md": 1, "config.json": 1, "m-Q4_K_M.gguf": 40, "m-Q8_0.gguf": 80, "mmproj-F16.gguf": 5,
    "imatrix_unsloth.gguf": 2, "UD-IQ2_XXS/m-UD-IQ2_XXS-00001-of-00002.gguf": 10,
    "UD-IQ2_XXS/m-UD-IQ2_XXS-00002-of-00002.gguf": 12,
}  # fmt: skip


def chosen(sizes: dict[str, int], text: str) -> Choice:
    """Return what ``text`` means."""
    ref = parse_reference(text, short=True)
    assert ref
    return choose(sizes, ref)


@pytest.mark.requirement("FR-SRC-HUB")
@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Qwen3-32B-Q4_K_M.gguf", "Q4_K_M"), ("qwen3-32b.q4_k_m.gguf", "Q4_K_M"), ("a/BF16/x.gguf", "BF16"),
        ("x-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"), ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("x-IQ3_XXS.gguf", "IQ3_XXS"),
        ("x.gguf", ""), ("x-TQ1_0.gguf", "TQ1_0"), ("Q4_0/x-Q8_0.gguf", "Q8_0"),
    ],
)  # fmt: skip
def test_a_file_name_states_its_quantisation(path: str, label: str) -> None:
    """The last word that is a quantisation counts, however it is written."""
    assert quant_label(path) == label


@pytest.mark.requirement("FR-SRC-HUB")
def test_split_files_count_once_and_projectors_not_at_all() -> None:
    """A split model is its first file with the size of all; projectors and matrices are no models."""
    found = {model.label: (model.path, model.size) for model in gguf_models(GGUF)}
    assert found == {
        "Q4_K_M": ("m-Q4_K_M.gguf", 40), "Q8_0": ("m-Q8_0.gguf", 80),
        "UD-IQ2_XXS": ("UD-IQ2_XXS/m-UD-IQ2_XXS-00001-of-00002.gguf", 22),
    }  # fmt: skip


@pytest.mark.requirement("FR-SRC-HUB")
def test_a_quantisation_chooses_its_file() -> None:
    """Any case, with or without the maker's prefix; one that is not there lists those that are."""
    assert chosen(GGUF, "o/r:q4_k_m") == Choice("", "m-Q4_K_M.gguf")
    assert chosen(GGUF, "o/r:latest") == Choice("", "m-Q4_K_M.gguf")
    assert chosen({"m-mxfp4.gguf": 9}, "o/r:latest") == Choice("", "m-mxfp4.gguf")
    assert chosen({"m-Q2_K.gguf": 2, "m-Q8_0.gguf": 8}, "o/r:latest") == Choice("", "m-Q8_0.gguf")
    assert chosen(GGUF, "o/r:IQ2_XXS") == Choice("UD-IQ2_XXS", "m-UD-IQ2_XXS-00001-of-00002.gguf")
    with pytest.raises(MissingError, match=r"no Q2_K; there are .*Q4_K_M \(40 B\)"):
        chosen(GGUF, "o/r:Q2_K")


@pytest.mark.requirement("FR-SRC-HUB")
def test_several_quantisations_are_listed_and_never_chosen_between() -> None:
    """The list is what to type."""
    with pytest.raises(AmbiguousError) as caught:
        chosen(GGUF, "o/r@v1")
    assert caught.value.candidates == ("o/r@v1:UD-IQ2_XXS", "o/r@v1:Q4_K_M", "o/r@v1:Q8_0")


@pytest.mark.requirement("FR-SRC-HUB")
def test_a_file_is_taken_as_named_and_a_later_part_leads_to_the_first() -> None:
    """Pages link to any part of a split model."""
    second = "UD-IQ2_XXS/m-UD-IQ2_XXS-00002-of-00002.gguf"
    assert chosen(GGUF, f"o/r/{second}") == Choice("UD-IQ2_XXS", "m-UD-IQ2_XXS-00001-of-00002.gguf")
    assert chosen(GGUF, "o/r/m-Q8_0.gguf") == Choice("", "m-Q8_0.gguf")
    with pytest.raises(MissingError, match=r"no 'gone\.gguf'"):
        chosen(GGUF, "o/r/gone.gguf")


@pytest.mark.requirement("FR-SRC-HUB")
def test_weights_at_the_root_win_and_the_rest_is_said() -> None:
    """A GGUF beside safetensors is mentioned; checkpoints in folders are listed; pipelines are refused."""
    both = chosen({"config.json": 1, "model.safetensors": 9, "m-Q4_0.gguf": 3}, "o/r")
    assert not both.gguf
    assert ":Q4_0" in both.notes[0]
    assert chosen({"a/config.json": 1, "a/model.safetensors": 9}, "o/r").folder == "a"
    with pytest.raises(AmbiguousError, match="hf:o/r/a, hf:o/r/b"):
        chosen({"a/config.json": 1, "b/config.json": 1}, "o/r")
    assert chosen({"a/config.json": 1, "b/config.json": 1}, "o/r/b").folder == "b"
    with pytest.raises(InputError, match="diffusers"):
        chosen({"model_index.json": 1, "unet/config.json": 1}, "o/r")
    with pytest.raises(InputError, match="no model here"):
        chosen({"README.md": 1}, "o/r")
