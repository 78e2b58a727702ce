"""Small but real model repositories, as files by name: safetensors, GGUF and npz."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import prod
from pathlib import Path
from random import Random
from typing import TypeVar

from support.gguf_writer import TensorRow, gguf

BITS = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "BF16": 16, "F16": 16, "I16": 16,
    "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F4": 4,
}  # fmt: skip
VOCABULARY = 150_000
Stored = tuple[str, Sequence[int]]
Files = dict[str, bytes]
Item = TypeVar("Item")


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder, which need not exist; return it."""
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


def saved(folder: Path, files: Mapping[str, bytes]) -> str:
    """Write a repository into a folder; return what opens its model."""
    ggufs = sorted(name for name in files if name.endswith(".gguf"))
    return str(put(folder, files) / ggufs[0] if ggufs else put(folder, files))


def stored_bytes(kind: str, shape: Sequence[int]) -> int:
    """Return the bytes of a tensor in a safetensors file."""
    return -(-prod(shape) * BITS[kind] // 8)


def framed(header: object, data: int) -> bytes:
    """Return a safetensors file of any header, right or wrong, and so many zeros."""
    raw = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(data)


def safetensors_bytes(tensors: Mapping[str, Stored], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file of zeros, its header padded as the library pads it."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (kind, shape) in tensors.items():
        start, end = end, end + stored_bytes(kind, shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    raw = json.dumps(header, separators=(",", ":")).encode()
    return framed(raw + b" " * (-len(raw) % 8), end)


def safetensors_repo(config: Mapping[str, object], tensors: Mapping[str, Stored], shards: int = 1) -> Files:
    """Return a repository as transformers saves it: the tensors in order, an index where there are shards."""
    files = {"config.json": json.dumps(config).encode()}
    metadata = {"format": "pt"}
    if shards == 1:
        return files | {"model.safetensors": safetensors_bytes(tensors, metadata)}
    places: dict[str, str] = {}
    for number, names in enumerate(_shared_out(list(tensors), shards), 1):
        file = f"model-{number:05}-of-{shards:05}.safetensors"
        files[file] = safetensors_bytes({name: tensors[name] for name in names}, metadata)
        places |= dict.fromkeys(names, file)
    total = sum(stored_bytes(kind, shape) for kind, shape in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    return files | {"model.safetensors.index.json": json.dumps(index).encode()}


def gguf_repo(
    metadata: Mapping[str, object],
    tensors: Sequence[TensorRow],
    stem: str = "model-F16",
    shards: int = 1,
) -> Files:
    """Return a GGUF, split as llama-gguf-split does it where there are shards."""
    if shards == 1:
        return {f"{stem}.gguf": gguf(metadata, tensors)}
    files = {}
    for number, rows in enumerate(_shared_out(list(tensors), shards)):
        split = {"split.no": number, "split.count": shards, "split.tensors.count": len(tensors)}
        known = split if number else {**metadata, **split}
        files[f"{stem}-{number + 1:05}-of-{shards:05}.gguf"] = gguf(known, rows)
    return files


def npy(descr: str, shape: Sequence[int], data: int) -> bytes:
    """Return an npy array of so many zeros."""
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(data)


def npz_bytes(arrays: Mapping[str, bytes]) -> bytes:
    """Return an npz of npy arrays by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, raw in arrays.items():
            archive.writestr(f"{name}.npy", raw)
    return buffer.getvalue()


@cache
def _words(count: int) -> tuple[list[str], list[str]]:
    """Return words that grow along the list, as those of real vocabularies do, and the merges behind them."""
    dice = Random(7)
    letters = "etaoinshrdlucmfwypvbgkjqxz"

    def part(index: int) -> str:
        return "".join(dice.choices(letters, k=max(1, round(dice.gauss(1.5 + 2.5 * index / count, 1)))))

    pairs = [(("Ġ" if dice.random() < 0.4 else "") + part(index), part(index)) for index in range(count)]
    tokens = [f"{left}{right}{number % 7}" for number, (left, right) in enumerate(pairs)]
    return tokens, [f"{left} {right}" for left, right in pairs]


def tokenizer(entries: int = VOCABULARY, *, scores: bool = False) -> dict[str, object]:
    """Return the metadata of a byte-pair tokenizer: words and merges as long as those of real ones."""
    tokens, merges = _words(entries)
    return {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.tokens": tokens,
        **({"tokenizer.ggml.scores": [0.0] * entries} if scores else {}),
        "tokenizer.ggml.token_type": [1] * entries, "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.eos_token_id": entries - 1, "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": "{%- for message in messages %}{{ message.content }}{%- endfor %}" * 80,
    }  # fmt: skip


def _shared_out(items: list[Item], parts: int) -> list[list[Item]]:
    at = [len(items) * number // parts for number in range(parts + 1)]
    return [items[start:end] for start, end in pairwise(at)]
