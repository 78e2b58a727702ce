"""The model catalogue: looking up and searching."""

import json

import pytest

from hwledger.errors import AmbiguousError, MissingError
from hwledger.library.catalogue import Entry, entries, lookup, search
from hwledger.library.catalogue.table import Table


@pytest.mark.requirement("FR-PLAN-CATALOGUE")
def test_it_holds_every_kind_of_model() -> None:
    """At least 120 models, and several of each kind."""
    assert len(entries()) >= 120
    for kind in (
        "dense",
        "moe",
        "mla",
        "swa",
        "hybrid",
        "ssm",
        "encoder-decoder",
        "encoder",
        "vision",
        "audio",
    ):
        assert search(kind), kind


@pytest.mark.requirement("FR-PLAN-CATALOGUE")
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("Qwen/Qwen3-32B", "Qwen/Qwen3-32B"),
        ("qwen/qwen3-32b", "Qwen/Qwen3-32B"),
        ("qwen3-32b", "Qwen/Qwen3-32B"),
        ("qwen3 32b", "Qwen/Qwen3-32B"),
        ("llama-3.1-8b", "meta-llama/Meta-Llama-3.1-8B"),
        ("gpt2", "openai-community/gpt2"),
        ("deepseek_v3", "deepseek-ai/DeepSeek-V3"),
        ("gpt-oss-20b", "openai/gpt-oss-20b"),
    ],
)
def test_names(typed: str, wanted: str) -> None:
    """An id, a name without publisher in any case, an alias and loose spelling find the model."""
    assert lookup(typed).id == wanted


@pytest.mark.requirement("FR-PLAN-CATALOGUE")
def test_several_models_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One name of two publishers is never chosen between."""
    from hwledger.library import catalogue  # noqa: PLC0415 - the module itself is patched

    two = tuple(Entry(f"{who}/Same-1B", (), ("dense",), {"model_type": "llama"}, "test") for who in "ab")
    monkeypatch.setattr(catalogue, "in_force", lambda: Table(two))
    with pytest.raises(AmbiguousError) as caught:
        lookup("same-1b")
    assert caught.value.candidates == ("a/Same-1B", "b/Same-1B")
    assert lookup("b/same-1b").id == "b/Same-1B"


@pytest.mark.requirement("FR-PLAN-CATALOGUE", "NFR-BAD-INPUT")
@pytest.mark.parametrize("name", ["", " ", "/", "no-such-model-at-all", "\x00", "q" * 100_000])
def test_unknown_names_end_in_one_sentence(name: str) -> None:
    """Nothing is guessed, and the sentence stays short."""
    with pytest.raises(MissingError) as caught:
        lookup(name)
    assert len(str(caught.value)) < 500


@pytest.mark.requirement("FR-PLAN-CATALOGUE")
def test_a_slip_gets_the_nearest_name() -> None:
    """A typing error is answered with what it could have been."""
    with pytest.raises(MissingError, match="Qwen/Qwen3-32B"):
        lookup("qwen3-32bb")


@pytest.mark.requirement("FR-PLAN-CATALOGUE")
def test_searching_takes_all_words() -> None:
    """Every word must be in the id, the aliases, the architecture or the kinds."""
    found = search("qwen moe")
    assert found
    assert all(
        "moe" in entry.tags or "moe" in entry.model_type or "moe" in entry.id.lower() for entry in found
    )
    assert search(["qwen", "nothing-like-it"]) == ()
    assert search() == entries()


@pytest.mark.requirement("FR-PLAN-CATALOGUE")
def test_every_entry_has_its_source_and_only_what_shapes_it() -> None:
    """Sources are stated, ids and aliases are unique, keys are sorted, and nothing of training is kept."""
    names = [spelling for e in entries() for spelling in (e.id.lower(), *e.aliases)]
    assert len(set(names)) == len(names)
    for entry in entries():
        assert entry.source
        assert entry.tags
        assert entry.model_type, entry.id
        assert list(entry.config) == sorted(entry.config)
        assert not {"bos_token_id", "dropout", "transformers_version", "rms_norm_eps"} & set(entry.config)
        assert len(json.dumps(entry.config)) < 32_000
