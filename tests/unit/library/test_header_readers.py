"""The bounded header readers: right files are read, wrong ones end in one sentence."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.errors import HwledgerError, MalformedError, MissingError
from hwledger.library.files import BufferFile, LocalFiles
from hwledger.library.gguf.reader import GgufHeader, parse_gguf
from hwledger.library.gguf.shards import read_gguf_model
from hwledger.library.gguf.values import ArraySummary
from hwledger.library.npz.reader import read_npz
from hwledger.library.safetensors.reader import parse_safetensors, read_safetensors, read_safetensors_model
from hwledger.library.source import open_model
from hwledger.planner.plan import plan
from hwledger.planner.weights import weigh
from hwledger.units import round_up
from support.checkpoints import framed, npy, npz_bytes
from support.gguf_models import smallest
from support.gguf_writer import ALIGNMENT, gguf, text


def parsed(raw: bytes) -> GgufHeader:
    """Return the header in ``raw``."""
    return parse_gguf(BufferFile(raw, "x"))


META, TENSORS = smallest()
GOOD = gguf(META, TENSORS)
HEADER = parsed(GOOD).header_bytes
F16, Q8_0, F32 = 1, 8, 0
# embedding in f16, the other matrices in q8_0 (34 bytes per 32), norms in f32; two layers
MATRICES = 32 * 96 + 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
WEIGHTS = 32 * 96 * 2 + MATRICES * 34 // 32 + (1 + 2 * 2) * 32 * 4


@pytest.mark.requirement("FR-PLAN-WEIGHTS", "FR-PLAN-SOURCES")
def test_a_gguf_file_is_read_to_the_byte(tmp_path: Path) -> None:
    """Metadata, tensor list and the planned weights equal what was written."""
    path = tmp_path / "model.gguf"
    path.write_bytes(GOOD)
    header = read_gguf_model(LocalFiles(path.parent), path.name)
    assert dict(header.metadata) == META
    assert [(t.name, t.shape) for t in header.tensors] == [row[:2] for row in TENSORS]
    spec = open_model(str(path))
    assert weigh(spec).total == WEIGHTS
    made = plan(spec, engine="llama.cpp", options={"n_ctx": 256})
    assert made.by_category["weights"] == WEIGHTS
    assert made.by_category["kv_cache"] == 2 * 2 * 16 * 2 * 256


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_a_header_alone_is_planned_and_said(tmp_path: Path) -> None:
    """A header-only copy of a file gives the same weights; long arrays are counted and not kept."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf({**META, "tokenizer.ggml.tokens": ["ab"] * 5000}, TENSORS, data=False))
    header = read_gguf_model(LocalFiles(path.parent), path.name)
    assert header.missing_data_bytes > 0
    assert header.metadata["tokenizer.ggml.tokens"] == ArraySummary(5000, "string")
    assert weigh(open_model(str(path))).total == WEIGHTS


def _with(**changes: object) -> bytes:
    return gguf({**META, **{key.replace("__", "."): item for key, item in changes.items()}}, TENSORS)


HOSTILE = {
    "empty": b"",
    "no gguf": b"PK\x03\x04" + bytes(64),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "version 1": gguf({}, version=1),
    "2^40 elements": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 4, 1 << 40),
    "2^40 strings": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 1 << 40),
    "2^60 keys": b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60),
    "2^60 tensors": b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
    "long string": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IQ", 8, 1 << 62),
    "nested arrays": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + text("a")
    + struct.pack("<IIQ", 9, 9, 1)
    + bytes(64),
    "unknown value type": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + text("a")
    + struct.pack("<I", 99)
    + bytes(8),
    "key twice": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 2)
    + 2 * (text("a") + struct.pack("<II", 4, 1))
    + bytes(9),
    "overlap": gguf(META, TENSORS, shift=-32),
    "gap": gguf(META, TENSORS, shift=32),
    "misaligned": gguf(META, TENSORS, shift=1),
    "removed type": gguf(META, [("a", (32,), 4)]),
    "unknown type": gguf(META, [("a", (32,), 99)]),
    "part of a block": gguf(META, [("a", (31,), Q8_0)]),
    "no axis": gguf(META, [("a", (), F32)]),
    "five axes": gguf(META, [("a", (1, 1, 1, 1, 1), F32)]),
    "overflow": gguf(META, [("a", (1 << 40, 1 << 40), F32)], data=False),
    "tensor twice": gguf(META, [("a", (32,), F32), ("a", (32,), F32)]),
    "alignment 3": _with(general__alignment=3),
    "alignment 0": _with(general__alignment=0),
    "cut short": GOOD[:-33],
}


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_gguf_ends_in_one_sentence(tmp_path: Path, name: str) -> None:
    """Each hostile file is refused with one line that names the file."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(MalformedError, match=r"bad\.gguf") as caught:
        read_gguf_model(LocalFiles(path.parent), path.name)
    assert "\n" not in str(caught.value)


@pytest.mark.requirement("NFR-BAD-INPUT")
def test_a_gguf_cut_at_any_byte_is_refused_or_header_only() -> None:
    """Only the whole file, or the whole header up to where its data would begin, is read."""
    start = round_up(HEADER, ALIGNMENT)
    for end in [*range(start + 2 * ALIGNMENT), *range(start, len(GOOD), ALIGNMENT - 1), len(GOOD) - 1]:
        if HEADER <= end <= start:
            assert parsed(GOOD[:end]).missing_data_bytes == len(GOOD) - end
            continue
        with pytest.raises(MalformedError):
            parsed(GOOD[:end])


@pytest.mark.requirement("NFR-BAD-INPUT")
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, HEADER - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_never_escape(flips: list[tuple[int, int]]) -> None:
    """Whatever bytes of the header change, a header comes out or one of our errors does."""
    raw = bytearray(GOOD)
    for at, byte in flips:
        raw[at] = byte
    try:
        parsed(bytes(raw))
    except HwledgerError:
        return


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize("count", [0, 4097, 16_774_658, (1 << 32) - 1])
def test_an_absurd_number_of_blocks_is_refused(tmp_path: Path, count: int) -> None:
    """A block count that no file could back takes no memory: found by fuzzing."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(_with(llama__block_count=count))
    with pytest.raises(MalformedError, match="block_count"):
        open_model(str(path))


def _shard(number: int, count: int, rows: slice) -> bytes:
    split = {"split.no": number, "split.count": count, "split.tensors.count": len(TENSORS)}
    return gguf((META | split) if number == 0 else split, TENSORS[rows])


@pytest.mark.requirement("FR-PLAN-SOURCES", "NFR-BAD-INPUT")
def test_a_split_model_needs_all_its_parts_in_order(tmp_path: Path) -> None:
    """Both parts make one model; a later, a missing and a swapped part are refused."""
    first, second = (tmp_path / f"m-0000{n}-of-00002.gguf" for n in (1, 2))
    first.write_bytes(_shard(0, 2, slice(0, 4)))
    with pytest.raises(MissingError, match=second.name):
        read_gguf_model(LocalFiles(first.parent), first.name)
    second.write_bytes(_shard(1, 2, slice(4, None)))
    assert weigh(open_model(str(first))).total == WEIGHTS
    with pytest.raises(MalformedError, match=first.name):
        read_gguf_model(LocalFiles(second.parent), second.name)
    second.write_bytes(_shard(0, 2, slice(4, None)))
    with pytest.raises(MalformedError, match="swapped"):
        read_gguf_model(LocalFiles(first.parent), first.name)


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    """Return one header entry."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


BROKEN = {
    "empty": b"",
    "short": b"1234",
    "claims 100 MB": struct.pack("<Q", 100_000_001) + bytes(64),
    "claims more than there is": struct.pack("<Q", 1000) + b"{}",
    "no JSON": framed(b"{nope", 0),
    "a list": framed([], 0),
    "no UTF-8": framed(b'{"\xff":1}', 0),
    "deep": framed(b"[" * 50_000, 0),
    "key twice": framed(b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{}}', 4),
    "hole": framed({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, 12),
    "overlap": framed({"a": entry("F32", [2], 0, 8), "b": entry("F32", [1], 4, 8)}, 8),
    "wrong size": framed({"a": entry("F32", [2], 0, 4)}, 4),
    "unknown dtype": framed({"a": entry("F33", [1], 0, 4)}, 4),
    "negative": framed({"a": entry("F32", [-1], 0, 4)}, 4),
    "cut short": framed({"a": entry("F32", [4], 0, 16)}, 15),
    "too long": framed({"a": entry("F32", [4], 0, 16)}, 17),
    "no entry": framed({"a": 1}, 0),
    "metadata of numbers": framed({"__metadata__": {"a": 1}}, 0),
}


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize("name", BROKEN)
def test_a_hostile_safetensors_ends_in_one_sentence(tmp_path: Path, name: str) -> None:
    """Each hostile file is refused with one line that names the file."""
    path = tmp_path / "bad.safetensors"
    path.write_bytes(BROKEN[name])
    with pytest.raises(MalformedError, match=r"bad\.safetensors"):
        read_safetensors(LocalFiles(path.parent), path.name)


@pytest.mark.requirement("NFR-BAD-INPUT")
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 64))
def test_any_safetensors_header_is_read_or_refused(raw: bytes, data: int) -> None:
    """No other exception comes out of arbitrary bytes."""
    try:
        parse_safetensors(raw, data, "x")
    except HwledgerError:
        return


@pytest.mark.requirement("FR-PLAN-WEIGHTS", "FR-PLAN-SOURCES")
def test_a_folder_counts_what_the_index_names(tmp_path: Path) -> None:
    """The index decides which files count; one that it names and that is missing is an error."""
    (tmp_path / "a.safetensors").write_bytes(framed({"x": entry("BF16", [4, 2], 0, 16)}, 16))
    (tmp_path / "old.safetensors").write_bytes(framed({"y": entry("F32", [1], 0, 4)}, 4))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "a.safetensors"}}))
    header = read_safetensors_model(LocalFiles(tmp_path))
    assert [(t.name, t.nbytes) for t in header.tensors] == [("x", 16)]
    assert "old.safetensors" in header.notes[0]
    index.write_text(json.dumps({"weight_map": {"x": "gone.safetensors"}}))
    with pytest.raises(MissingError, match=r"gone\.safetensors"):
        read_safetensors_model(LocalFiles(tmp_path))


@pytest.mark.requirement("FR-PLAN-SOURCES", "FR-PLAN-MLX")
def test_an_npz_is_read_with_its_bfloat16(tmp_path: Path) -> None:
    """MLX stores bfloat16 as two raw bytes; sizes are exact."""
    path = tmp_path / "weights.npz"
    path.write_bytes(npz_bytes({"a.weight": npy("<V2", (3, 2), 12), "b": npy("<u4", (2,), 8)}))
    found = [
        (t.name, t.dtype.name, t.shape, t.nbytes)
        for t in read_npz(LocalFiles(path.parent), path.name).tensors
    ]
    assert found == [("a.weight", "bf16", (3, 2), 12), ("b", "u32", (2,), 8)]


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize("content", [b"", b"PK", npy("<V2", (3, 2), 12)])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    """Anything that is no zip of arrays ends in one sentence."""
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(MalformedError, match=r"bad\.npz"):
        read_npz(LocalFiles(path.parent), path.name)
