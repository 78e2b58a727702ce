"""The repositories that tests of sources read."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from hwledger.app import plan
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.document import plan_document
from support import checkpoints, tiny

pytestmark = pytest.mark.requirement("FR-SRC-HUB")
FORMS = checkpoints.tiny_forms()


def opened(folder: Path, files: checkpoints.Files) -> ModelSpec:
    """Return the model of a repository written to a folder."""
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    ggufs = sorted(folder.glob("*.gguf"))
    return open_model(str(ggufs[0] if ggufs else folder))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_model(tmp_path: Path, form: str) -> None:
    """Layers and parameters are the same in every form."""
    spec = opened(tmp_path, FORMS[form])
    from_shapes = sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in tiny.shapes().values())
    assert spec.census.total == from_shapes
    assert (len(spec.layers), spec.hidden_size, spec.vocab_size) == (tiny.LAYERS, tiny.HIDDEN, tiny.VOCAB)


@pytest.mark.parametrize(
    ("engine", "forms"),
    [("mlx", ("safetensors", "safetensors shards", "npz")), ("llama.cpp", ("gguf", "gguf shards"))],
)
def test_plans_can_be_compared(tmp_path: Path, engine: str, forms: tuple[str, ...]) -> None:
    """Forms with the same bytes need the same memory."""
    totals = set()
    for form in forms:
        folder = tmp_path / form
        folder.mkdir()
        document = plan_document(plan(opened(folder, FORMS[form]), engine=engine, context=512))
        totals.add(json.dumps([(row["category"], row["bytes"]) for row in document["memory"]["components"]]))
    assert len(totals) == 1


def test_shards_have_an_index() -> None:
    """Shards share the tensors out in order, and the index knows where each one is and how large all are."""
    files = checkpoints.tiny_safetensors(3)
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
    """A header with 150 000 tokens is megabytes long, as real ones are, and read."""
    files = checkpoints.tiny_with_tokenizer()
    small = len(checkpoints.tiny_gguf()["tiny-F16.gguf"])
    assert 4_000_000 < len(files["tiny-F16.gguf"]) - small < 8_000_000
    assert len(opened(tmp_path, files).layers) == tiny.LAYERS
    tokens, merges = (checkpoints.tokenizer()[f"tokenizer.ggml.{key}"] for key in ("tokens", "merges"))
    assert isinstance(tokens, list)
    assert isinstance(merges, list)
    assert len(tokens) == len(merges) == checkpoints.VOCABULARY
    assert all(merge.count(" ") == 1 for merge in merges)


def test_a_header_alone() -> None:
    """A GGUF without its data is the same header."""
    whole = checkpoints.tiny_gguf()["tiny-F16.gguf"]
    head = checkpoints.gguf_repo(tiny.METADATA, tiny.gguf_tensors(), header_only=True)["model-F16.gguf"]
    assert whole.startswith(head)
    assert len(head) < len(whole)
