"""The folders where other programs keep models, laid out as they do."""

from pathlib import Path

import pytest

from hwledger.library.local.discovery import local_models
from hwledger.screens.local import local_rows
from hwledger.telemetry.machine import Machine
from support import tiny

pytestmark = pytest.mark.requirement("FR-SRC-LOCAL")
COMMIT = "a" * 40


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder."""
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)


def in_hub_cache(cache: Path, repo: str, files: dict[str, bytes], *, ref: str | None = "main") -> None:
    """Lay a repository out as huggingface_hub does: blobs, a snapshot of links, a ref."""
    home = cache / f"models--{repo.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    for number, (name, raw) in enumerate(files.items()):
        write(home / "blobs", {f"{number:040}": raw})
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(home / "blobs" / f"{number:040}")
    if ref:
        write(home / "refs", {ref: COMMIT.encode()})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with models in every place."""
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = tmp_path / ".cache" / "huggingface" / "hub"
    in_hub_cache(cache, "org/tiny", tiny.plain())
    in_hub_cache(
        cache, "org/tiny-GGUF", {"tiny-Q4_0.gguf": tiny.gguf_file(), "sub/t-F16.gguf": tiny.gguf_file()}
    )
    in_hub_cache(cache, "org/only-a-config", {"config.json": tiny.config()})
    in_hub_cache(cache, "gpt", tiny.plain(), ref=None)
    (cache / "datasets--org--data").mkdir()
    (cache / "models--broken").mkdir()
    gone = cache / "models--org--gone" / "snapshots" / COMMIT
    gone.mkdir(parents=True)
    (gone / "model.safetensors").symlink_to(cache / "nowhere")
    shards = {f"split-{i:05}-of-00003.gguf": raw for i, raw in enumerate(tiny.gguf_shards(3), 1)}
    write(
        tmp_path / ".cache" / "llama.cpp",
        {"org_x_x-Q8_0.gguf": tiny.gguf_file(), **shards, "bad.gguf": b"GGUF"},
    )
    write(tmp_path / "Documents/huggingface/models/mlx-community/tiny-4bit", tiny.mlx())
    return tmp_path


def test_every_model_is_found_once_with_what_to_type(home: Path) -> None:
    """Kinds, references, sizes and quantisations are right; what is no model is left out."""
    found = {model.ref: model for model in local_models()}
    weights = len(tiny.plain()["model.safetensors"])
    caches = "~/.cache/llama.cpp"
    del home
    assert set(found) == {
        "hf:org/tiny", "hf:org/tiny-GGUF:Q4_0", "hf:org/tiny-GGUF:F16",
        f"hf:gpt@{COMMIT}", "hf:org/only-a-config", f"hf:org/gone@{COMMIT}",
        f"{caches}/org_x_x-Q8_0.gguf",
        f"{caches}/split-00001-of-00003.gguf", f"{caches}/bad.gguf",
        "~/Documents/huggingface/models/mlx-community/tiny-4bit",
    }  # fmt: skip
    assert found["hf:org/tiny"].size_bytes == weights
    assert found["hf:org/tiny-GGUF:Q4_0"].quantisation == "Q4_0"
    shards = sum(len(raw) for raw in tiny.gguf_shards(3))
    assert found[f"{caches}/split-00001-of-00003.gguf"].size_bytes == shards


def test_each_is_read_and_held_against_the_machine(home: Path) -> None:
    """A verdict and a size for each model; one that cannot be read says why."""
    del home
    rows = {row.model.name: row for row in local_rows((), Machine((), 8 << 30))}
    assert rows["org/tiny"].facts.verdict == "fits"
    assert rows["mlx-community/tiny-4bit"].facts.format == "mlx"
    assert rows["mlx-community/tiny-4bit"].facts.verdict == "fits"
    assert "ends within" in rows["bad"].problem
    small = {row.model.name: row.facts.verdict for row in local_rows(("org/tiny",), Machine((), 1 << 16))}
    assert small["org/tiny"] == "does_not_fit"


def test_words_narrow_the_list(home: Path) -> None:
    """Parts of names, places and quantisations count, all of them."""
    del home
    machine = Machine((), 8 << 30)
    assert [row.model.ref for row in local_rows(("TINY", "q4_0"), machine)] == ["hf:org/tiny-GGUF:Q4_0"]
    assert len(local_rows(("hub", "cache"), machine)) == 6


def test_an_empty_home_has_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there, and nothing is made up or raised."""
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    assert local_models() == []
