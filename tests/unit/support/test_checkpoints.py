"""The repositories that tests of sources read."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from hwledger.app import plan
from hwledger.library.source import open_model
from hwledger.planner.document import plan_document
from support import checkpoints, tiny

pytestmark = pytest.mark.requirement("FR-SRC-HUB")
FORMS = tiny.forms()


@pytest.mark.parametrize(
    ("engine", "forms"),
    [("mlx", ("safetensors", "sharded safetensors", "npz")), ("llama.cpp", ("GGUF", "split GGUF"))],
)
def test_plans_can_be_compared(tmp_path: Path, engine: str, forms: tuple[str, ...]) -> None:
    """Forms with the same bytes need the same memory."""
    totals = set()
    for form in forms:
        spec = open_model(checkpoints.saved(tmp_path / form, FORMS[form]))
        document = plan_document(plan(spec, engine=engine, context=512))
        totals.add(json.dumps([(row["category"], row["bytes"]) for row in document["memory"]["components"]]))
    assert len(totals) == 1


def test_shards_have_an_index() -> None:
    """Shards share the tensors out in order, and the index knows where each one is and how large all are."""
    files = tiny.plain(3)
    index = json.loads(files["model.safetensors.index.json"])
    assert list(index["weight_map"]) == list(tiny.shapes())
    assert {*index["weight_map"].values()} == {name for name in files if name.endswith(".safetensors")}
    shards = [files[name] for name in {*index["weight_map"].values()}]
    data = sum(len(raw) - 8 - int.from_bytes(raw[:8], "little") for raw in shards)
    assert data == index["metadata"]["total_size"]


def test_offsets_are_valid() -> None:
    """Tensors lie one after another to the file's end; the header's length is a multiple of eight."""
    raw = checkpoints.safetensors_bytes({"a": ("BF16", (3, 5)), "b": ("F4", (3, 2)), "c": ("I64", ())})
    size = int.from_bytes(raw[:8], "little")
    offsets = [each["data_offsets"] for each in json.loads(raw[8 : 8 + size]).values()]
    assert offsets == [[0, 30], [30, 33], [33, 41]]
    assert (size % 8, len(raw)) == (0, 8 + size + 41)
    assert all(before[1] == after[0] for before, after in pairwise(offsets))


def test_a_large_tokenizer(tmp_path: Path) -> None:
    """A header with 150 000 tokens is megabytes long, as real ones are, and read; its words grow."""
    raw = tiny.large_gguf()
    assert 4_000_000 < len(raw) - len(tiny.gguf_file()) < 8_000_000
    assert len(open_model(checkpoints.saved(tmp_path, {"large.gguf": raw})).layers) == tiny.LAYERS
    tokens, merges = (checkpoints.tokenizer()[f"tokenizer.ggml.{key}"] for key in ("tokens", "merges"))
    assert isinstance(tokens, list)
    assert isinstance(merges, list)
    assert len(tokens) == len(merges) == checkpoints.VOCABULARY
    assert all(merge.count(" ") == 1 for merge in merges)
    first, last = (sum(map(len, part)) for part in (tokens[:1000], tokens[-1000:]))
    assert last > 1.8 * first
