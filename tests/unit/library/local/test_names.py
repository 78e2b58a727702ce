"""Names that are no text: they are printed so that every reader can read them, and can be typed again."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.library.paths import shown, typed
from hwledger.library.source import open_model
from hwledger.screens.local import local_rows
from hwledger.telemetry.machine import Machine
from support import tiny
from support.lmstudio import put_home

pytestmark = pytest.mark.requirement("FR-SRC-LOCAL", "NFR-BAD-INPUT")


def put(path: bytes) -> None:
    """Write a small GGUF at a path of bytes; skip where the file system refuses the name."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - bytes
        Path(os.fsdecode(path)).write_bytes(tiny.gguf_file())
    except OSError:
        pytest.skip("this file system holds UTF-8 names alone")


@given(st.binary(min_size=1, max_size=20).filter(lambda raw: b"\0" not in raw))
def test_any_name_is_printed_as_text(raw: bytes) -> None:
    """Whatever the bytes, the text can be encoded and holds nothing that a terminal obeys."""
    text = shown(os.fsdecode(raw))
    assert text.encode()
    assert text.isprintable()


def test_a_text_means_the_file_of_its_name_before_that_of_its_bytes(tmp_path: Path) -> None:
    """Where both are there, what is written is what is meant."""
    put(bytes(tmp_path) + b"/m\xff.gguf")
    text = shown(os.fsdecode(bytes(tmp_path) + b"/m\xff.gguf"))
    assert text.endswith(r"/m\xff.gguf")
    assert os.fsencode(typed(text)) == bytes(tmp_path) + b"/m\xff.gguf"
    Path(text).write_bytes(b"")
    assert str(typed(text)) == text
    assert str(typed(str(tmp_path / r"no\xff"))) == str(tmp_path / r"no\xff")
    assert str(typed("~nobody-is-called-so/x")) == "~nobody-is-called-so/x"


def test_such_models_are_listed_and_their_references_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is valid JSON, and what it says to type is planned."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    put(bytes(put_home(tmp_path)) + b"/y/bad\xff\xfe/m\xff.gguf")
    put(bytes(tmp_path) + b"/llama/\x1b[31m\xff-Q4_0.gguf")
    rows = local_rows((), Machine((), 8 << 30))
    assert json.dumps([row.as_dict() for row in rows], ensure_ascii=False).encode()
    assert {row.model.ref for row in rows} == {
        r"lmstudio:y/bad\xff\xfe/m\xff.gguf", r"~/llama/\x1b[31m\xff-Q4_0.gguf",
    }  # fmt: skip
    for row in rows:
        assert row.facts.verdict == "fits"
        spec = open_model(row.model.ref)
        assert spec.census.total == row.facts.parameters
        assert f"{spec.source} {spec.id} {spec.reading}".isprintable()


def test_large_files_of_such_names_are_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of what is kept is made of bytes."""
    monkeypatch.setattr("hwledger.library.sources.local.WORTH_KEEPING_BYTES", 0)
    path = bytes(tmp_path) + b"/m\xff.gguf"
    put(path)
    first = open_model(shown(os.fsdecode(path)))
    monkeypatch.setattr("hwledger.library.gguf.shards.read_gguf_model", None)
    assert open_model(shown(os.fsdecode(path))).tensors == first.tensors
