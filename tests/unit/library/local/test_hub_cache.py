"""The hub's cache as it really is: adapters, downloads that were cut off, revisions, links, broken files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from hwledger.app import fit_here
from hwledger.library.access import Access
from hwledger.library.local.discovery import local_models
from hwledger.library.local.model import LocalModel
from hwledger.library.source import open_model
from hwledger.screens.local import LocalRow, local_rows, total_on_disk
from hwledger.telemetry.machine import Machine
from support import tiny

pytestmark = pytest.mark.requirement("FR-SRC-LOCAL")
MAIN, OTHER = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(
    cache: Path, repo: str, files: Mapping[str, bytes | None], refs: Mapping[str, str], commit: str = MAIN
) -> Path:
    """Lay out one revision; files of equal content share a blob, ``None`` is a link to nothing."""
    home = cache / f"models--{repo.replace('/', '--')}"
    for name, raw in files.items():
        blob = home / "blobs" / (f"{hash(raw):x}" if raw is not None else "nowhere")
        blob.parent.mkdir(parents=True, exist_ok=True)
        if raw is not None:
            blob.write_bytes(raw)
        link = home / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    for name, target in refs.items():
        (home / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "refs" / name).write_text(target)
    return home


def rows() -> dict[str, LocalRow]:
    """Return the rows of this machine by reference."""
    return {row.model.ref: row for row in local_rows((), Machine((), 8 << 30))}


def models() -> dict[str, LocalModel]:
    """Return what is found, by reference."""
    return {model.ref: model for model in local_models()}


def test_an_adapter_is_planned_on_its_base_or_says_which_is_lacking(cache: Path) -> None:
    """The base is read where it is here; where it is not, the sentence names it."""
    put(cache, "org/tiny", tiny.plain(), {"main": MAIN})
    put(cache, "org/lora", tiny.adapter("org/tiny"), {"main": MAIN})
    put(cache, "org/lost", tiny.adapter("org/none"), {"main": MAIN})
    found = rows()
    assert found["hf:org/lora"].fit.endswith("; adapter of org/tiny")
    whole, lora = found["hf:org/tiny"].facts, found["hf:org/lora"].facts
    assert whole.total_bytes
    assert lora.total_bytes
    assert lora.total_bytes > whole.total_bytes
    assert found["hf:org/lost"].problem.startswith("adapter of org/none, which cannot be read here: ")
    assert found["hf:org/lost"].as_dict()["adapter_of"] == "org/none"


@pytest.mark.parametrize(
    ("left_out", "said"),
    [(1, "incomplete: 2 of 3 shards are here"), (2, "incomplete: 1 of 3 shards is here"),
     (3, "incomplete: 0 of 3 shards are here")],
)  # fmt: skip
def test_shards_that_are_not_here_are_counted(cache: Path, left_out: int, said: str) -> None:
    """A snapshot that lacks parts says how many are here, also when none is."""
    files = tiny.plain(3)
    shards = sorted(name for name in files if name.endswith(".safetensors"))
    kept = {name: raw for name, raw in files.items() if name not in shards[:left_out]}
    put(cache, "org/tiny", kept, {"main": MAIN})
    assert rows()["hf:org/tiny"].fit == said


def test_links_to_nothing_and_downloads_that_were_cut_off_are_said(cache: Path) -> None:
    """Neither is taken for a whole model nor left out; a split GGUF counts its own parts alone."""
    files = tiny.plain(3)
    lost = {**files, "model-00002-of-00003.safetensors": None}
    put(cache, "org/lost", lost, {"main": MAIN})
    home = put(cache, "org/begun", {"config.json": tiny.config()}, {"main": MAIN})
    (home / "blobs" / "abc.incomplete").write_bytes(b"123")
    (cache / "models--org--first" / "blobs").mkdir(parents=True)
    (cache / "models--org--first" / "blobs" / "abc.incomplete").write_bytes(b"12345")
    part = next(iter(tiny.gguf_shards("t").values()))
    put(
        cache,
        "org/gguf",
        {"a-Q8_0.gguf": tiny.gguf_file(), "b-Q4_0-00001-of-00003.gguf": part},
        {"main": MAIN},
    )
    found = rows()
    assert found["hf:org/lost"].fit == "incomplete: 2 of 3 shards are here"
    assert found["hf:org/begun"].fit.startswith("incomplete: its weights are still being downloaded")
    assert found["hf:org/first"].fit.startswith("incomplete: its weights are still being downloaded")
    assert found["hf:org/first"].model.size_bytes == 5
    assert found["hf:org/gguf:Q4_0"].fit == "incomplete: 1 of 3 shards is here"
    assert found["hf:org/gguf:Q8_0"].facts.verdict == "fits"


def test_what_cannot_be_planned_says_why(cache: Path) -> None:
    """A broken config, a pipeline for pictures and a config without weights are in the list."""
    put(cache, "org/broken", {"config.json": b"{", "model.safetensors": b"x"}, {"main": MAIN})
    put(cache, "org/pictures", {"model_index.json": b"{}", "unet/config.json": b"{}"}, {"main": MAIN})
    put(cache, "org/config", {"config.json": tiny.config()}, {"main": MAIN})
    found = rows()
    assert found["hf:org/broken"].fit.startswith("config.json: this is no valid JSON")
    assert "no language model" in found["hf:org/pictures"].fit
    assert found["hf:org/config"].fit.startswith("fits, needs ")
    assert found["hf:org/config"].fit.endswith("; only its config is here, no weights")


def test_every_revision_that_is_here_is_listed(cache: Path) -> None:
    """Main by its name, other branches and tags by theirs, bare commits only where main is not here."""
    put(cache, "org/both", tiny.plain(), {"main": MAIN})
    put(cache, "org/both", tiny.plain(), {"v2": OTHER}, OTHER)
    put(cache, "org/old", tiny.plain(), {"main": MAIN})
    put(cache, "org/old", tiny.plain(), {}, OTHER)
    put(cache, "org/bare", tiny.plain(), {"main": "c" * 40})
    put(cache, "org/bare", tiny.plain(), {}, OTHER)
    put(cache, "org/out", tiny.plain(), {"main": "../../../elsewhere"})
    assert set(models()) == {
        "hf:org/both", "hf:org/both@v2", "hf:org/old", f"hf:org/bare@{MAIN}", f"hf:org/bare@{OTHER}",
        f"hf:org/out@{MAIN}",
    }  # fmt: skip


def test_folders_of_a_repository_count_where_its_root_holds_nothing(cache: Path) -> None:
    """Checkpoints in folders are models of their own, and can be typed; those beside a model are not."""
    files = tiny.plain()
    many = {f"{size}/{name}": raw for size in ("1b", "2b") for name, raw in files.items()}
    put(cache, "org/many", many, {"main": MAIN})
    put(cache, "org/one", {**tiny.plain(), "onnx/config.json": b"{}"}, {"main": MAIN})
    assert set(models()) == {"hf:org/many/1b", "hf:org/many/2b", "hf:org/one"}
    assert rows()["hf:org/many/2b"].facts.verdict == "fits"


def test_what_is_shared_counts_once(cache: Path) -> None:
    """Two names of one blob are one file on disk, within a model and over the list."""
    raw = tiny.plain()["model.safetensors"]
    files = {"config.json": tiny.config(), "model.safetensors": raw, "copy.safetensors": raw}
    put(cache, "org/tiny", files, {"main": MAIN})
    put(cache, "org/tiny", files, {"v2": OTHER}, OTHER)
    found = rows()
    assert found["hf:org/tiny"].model.size_bytes == len(raw)
    assert total_on_disk(found.values()) == len(raw) + len(tiny.config())


def test_models_for_mlx_are_marked_and_found_by_the_word(cache: Path) -> None:
    """mlx-lm keeps its models in the hub's cache: the headers tell, and so does the list."""
    put(cache, "org/four-bits", tiny.mlx(), {"main": MAIN})
    put(cache, "org/tiny", tiny.plain(), {"main": MAIN})
    (row,) = local_rows(("mlx",), Machine((), 8 << 30))
    assert (row.model.ref, row.place) == ("hf:org/four-bits", "hub cache (mlx)")
    assert row.as_dict()["format"] == "mlx"


def test_a_second_list_opens_nothing_that_has_not_changed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are kept by the files' identity and the machine; what changed is read, what went is forgotten."""
    home = put(cache, "org/tiny", tiny.plain(), {"main": MAIN})
    put(cache, "org/other", tiny.plain(), {"main": MAIN})
    machine = Machine((), 8 << 30)
    first = local_rows((), machine)
    read: list[str] = []
    assert [row.facts for row in local_rows((), machine, read.append)] == [row.facts for row in first]
    assert read == []
    local_rows((), Machine((), 1 << 16), read.append)
    assert sorted(read) == ["org/other", "org/tiny"]
    read.clear()
    config = home / "snapshots" / MAIN / "config.json"
    config.unlink()
    config.write_bytes(tiny.config(max_position_embeddings=128))
    local_rows(("org",), machine, read.append)
    assert read == ["org/tiny"]
    local_rows((), machine, read.append, refresh=True)
    assert sorted(read[1:]) == ["org/other", "org/tiny"]
    monkeypatch.setattr("hwledger.library.local.opening.read_local", None)
    assert [row.facts for row in local_rows((), machine, fit=False)] == [type(first[0].facts)()] * 2


def test_a_row_says_what_a_plan_says(cache: Path) -> None:
    """What is typed from the list needs what the list says, read and remembered alike."""
    put(cache, "org/tiny", tiny.plain(2), {"main": MAIN})
    put(cache, "org/tiny", tiny.plain(), {"v2": OTHER}, OTHER)
    put(cache, "org/mlx", tiny.mlx(), {"main": MAIN})
    put(
        cache, "org/gguf", {"a-F16.gguf": tiny.gguf_file(), "b/t-Q8_0.gguf": tiny.gguf_file()}, {"main": MAIN}
    )
    put(cache, "org/lora", tiny.adapter("org/tiny"), {"main": MAIN})
    machine = Machine((), 8 << 30)
    for row in (*local_rows((), machine), *local_rows((), machine)):
        spec = open_model(row.model.ref, access=Access(offline=True))
        assert row.facts.total_bytes == fit_here(spec, machine).total_bytes
        assert row.facts.parameters == spec.census.total
        assert row.facts.format == spec.format


def test_a_damaged_memory_of_rows_is_read_anew(cache: Path) -> None:
    """Whatever lies in the cache folder, the list is right."""
    put(cache, "org/tiny", tiny.plain(), {"main": MAIN})
    (first,) = rows().values()
    (kept,) = (Path(os.environ["HWLEDGER_CACHE_DIR"]) / "rows").iterdir()
    document = json.loads(kept.read_text())
    for damage in ([], {"hub cache|hf:org/tiny": 3}, {"hub cache|hf:org/tiny": {"identity": 1}}):
        kept.write_text(json.dumps({**document, "document": damage}))
        assert rows()["hf:org/tiny"].facts == first.facts


def test_folders_that_lead_to_themselves_end(cache: Path) -> None:
    """Links in circles are no models and no endless walk."""
    home = put(cache, "org/tiny", tiny.plain(), {"main": MAIN})
    (home / "snapshots" / MAIN / "again").symlink_to(home)
    (cache / "models--org--loop").mkdir()
    (cache / "models--org--loop" / "snapshots").symlink_to(cache / "models--org--loop" / "snapshots")
    assert list(models()) == ["hf:org/tiny"]
