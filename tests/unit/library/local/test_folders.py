"""The folders where other programs keep models, laid out as they do."""

from pathlib import Path

import pytest

from hwledger.library.local.discovery import local_models
from hwledger.screens.models import local_rows
from hwledger.telemetry.machine import Machine
from support import tiny
from support.checkpoints import put
from support.hub_cache import put_snapshot

pytestmark = pytest.mark.requirement("FR-SRC-LOCAL")
COMMIT = "a" * 40


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with models in every place."""
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = tmp_path / ".cache" / "huggingface" / "hub"
    quants = {"tiny-Q4_0.gguf": tiny.gguf_file(), "sub/t-F16.gguf": tiny.gguf_file()}
    put_snapshot(cache, "org/tiny", tiny.plain(), COMMIT)
    put_snapshot(cache, "org/tiny-GGUF", quants, COMMIT)
    put_snapshot(cache, "org/only-a-config", {"config.json": tiny.config()}, COMMIT)
    put_snapshot(cache, "gpt", tiny.plain(), COMMIT, ref=None)
    (cache / "datasets--org--data").mkdir()
    (cache / "models--broken").mkdir()
    gone = cache / "models--org--gone" / "snapshots" / COMMIT
    gone.mkdir(parents=True)
    (gone / "model.safetensors").symlink_to(cache / "nowhere")
    single = {"org_x_x-Q8_0.gguf": tiny.gguf_file(), "bad.gguf": b"GGUF"}
    put(tmp_path / ".cache" / "llama.cpp", {**single, **tiny.gguf_shards("split")})
    put(tmp_path / "Documents/huggingface/models/mlx-community/tiny-4bit", tiny.mlx())
    return tmp_path


def test_every_model_is_found_once_with_what_to_type(home: Path) -> None:
    """Kinds, references, sizes and quantisations are right; what is no model is left out."""
    found = {model.ref: model for model in local_models()}
    weights = len(tiny.plain()["model.safetensors"])
    caches = "~/.cache/llama.cpp"
    del home
    assert set(found) == {
        "hf:org/tiny", "hf:org/tiny-GGUF:Q4_0", "hf:org/tiny-GGUF:F16", "hf:gpt",
        f"{caches}/org_x_x-Q8_0.gguf",
        f"{caches}/split-00001-of-00003.gguf", f"{caches}/bad.gguf",
        "~/Documents/huggingface/models/mlx-community/tiny-4bit",
    }  # fmt: skip
    assert found["hf:org/tiny"].size_bytes == weights
    assert found["hf:org/tiny-GGUF:Q4_0"].quantisation == "Q4_0"
    shards = sum(map(len, tiny.gguf_shards().values()))
    assert found[f"{caches}/split-00001-of-00003.gguf"].size_bytes == shards


def test_each_is_read_and_held_against_the_machine(home: Path) -> None:
    """A verdict and a size for each model; one that cannot be read says why."""
    del home
    rows = {row.model.name: row for row in local_rows((), Machine((), 8 << 30))}
    assert rows["org/tiny"].verdict == "fits"
    assert rows["org/tiny"].spec
    assert rows["mlx-community/tiny-4bit"].spec
    assert rows["mlx-community/tiny-4bit"].spec.format == "mlx"
    assert "ends within" in rows["bad"].problem
    small = {row.model.name: row.verdict for row in local_rows(("org/tiny",), Machine((), 1 << 16))}
    assert small["org/tiny"] == "does_not_fit"


def test_words_narrow_the_list(home: Path) -> None:
    """Parts of names, places and quantisations count, all of them."""
    del home
    machine = Machine((), 8 << 30)
    assert [row.model.ref for row in local_rows(("TINY", "q4_0"), machine)] == ["hf:org/tiny-GGUF:Q4_0"]
    assert len(local_rows(("hub", "cache"), machine)) == 4


def test_an_empty_home_has_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there, and nothing is made up or raised."""
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    assert local_models() == []
