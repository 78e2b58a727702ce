"""What is kept between calls: found again, never trusted blindly, bounded, and no reason to fail."""

import json
import os
from pathlib import Path

import pytest

from hwledger.library import kept
from hwledger.library.access import Access
from hwledger.library.kept import keep, recall
from hwledger.library.paths import cache_dir
from hwledger.library.source import open_model
from support import tiny

pytestmark = pytest.mark.requirement("FR-SRC-CACHE")


def only_file(kind: str) -> Path:
    """Return the one file that is kept."""
    (found,) = (cache_dir() / kind).iterdir()
    return found


def test_what_is_kept_is_found_with_its_age() -> None:
    """The document comes back under its key and no other."""
    keep("k", "one", {"a": [1, None, "x"]})
    found = recall("k", "one")
    assert found
    assert found.document == {"a": [1, None, "x"]}
    assert 0 <= found.age_s < 60
    assert recall("k", "two") is None


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"schema": 1}', b'{"schema": 99, "at": 1, "document": {}}', b"\xff"]
)
def test_a_damaged_file_counts_as_absent(raw: bytes) -> None:
    """Whatever lies there, nothing is raised."""
    keep("k", "one", {})
    only_file("k").write_bytes(raw)
    assert recall("k", "one") is None


def test_the_key_is_not_written() -> None:
    """An address may hold a secret."""
    keep("k", "https://host/x?token=hush", {})
    assert "hush" not in only_file("k").read_text()


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be: nothing is kept and nothing is raised."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HWLEDGER_CACHE_DIR", str(tmp_path / "file"))
    keep("k", "one", {})
    assert recall("k", "one") is None


def test_the_least_recently_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest by use are removed, and no more of them than that takes."""
    for used_s, name in enumerate(("one", "two", "three")):
        keep("k", name, {"x": "y" * 150})
        os.utime(kept._path("k", name), (used_s, used_s))
    assert recall("k", "one")
    monkeypatch.setattr(kept, "MOST_BYTES", 600)
    keep("k", "four", {"x": "y" * 100})
    assert [name for name in ("one", "two", "three", "four") if recall("k", name)] == ["one", "three", "four"]


def test_a_local_model_is_read_anew_when_its_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size, time and inode decide; the same file is not parsed twice."""
    monkeypatch.setattr("hwledger.library.sources.local.WORTH_KEEPING_BYTES", 0)
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    first = open_model(str(path))
    document = only_file("local").read_text()
    with monkeypatch.context() as patch:
        patch.setattr("hwledger.library.gguf.shards.read_gguf_model", None)
        assert open_model(str(path)).tensors == first.tensors
    path.write_bytes(tiny.gguf_file(**{"general.name": "another"}))
    assert open_model(str(path)).id == "another"
    assert json.loads(document)["schema"] == kept.SCHEMA


def test_refresh_reads_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is not believed when it is not to be."""
    monkeypatch.setattr("hwledger.library.sources.local.WORTH_KEEPING_BYTES", 0)
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    open_model(str(path))
    file = only_file("local")
    file.write_text(file.read_text().replace('"tiny"', '"kept"'))
    assert open_model(str(path)).id == "kept"
    assert open_model(str(path), access=Access(refresh=True)).id == "tiny"
