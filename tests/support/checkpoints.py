"""Small but real model repositories, as files by name: safetensors, GGUF, MLX and npz."""

import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import prod
from random import Random
from typing import TypeVar

from support import tiny
from support.gguf_writer import TensorRow, gguf

BITS = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "BF16": 16, "F16": 16, "I16": 16,
    "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F4": 4,
}  # fmt: skip
VOCABULARY = 150_000
Stored = tuple[str, Sequence[int]]
Files = dict[str, bytes]
Item = TypeVar("Item")


def stored_bytes(kind: str, shape: Sequence[int]) -> int:
    """Return the bytes of a tensor in a safetensors file."""
    return -(-prod(shape) * BITS[kind] // 8)


def safetensors_bytes(tensors: Mapping[str, Stored], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file of zeros, its header padded as the library pads it."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (kind, shape) in tensors.items():
        start, end = end, end + stored_bytes(kind, shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + bytes(end)


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
    *,
    header_only: bool = False,
) -> Files:
    """Return a GGUF, split as llama-gguf-split does it where there are shards.

    With ``header_only`` the tensors' data is left out: for readers that know the file's size from elsewhere.
    """
    if shards == 1:
        return {f"{stem}.gguf": gguf(metadata, tensors, data=not header_only)}
    files = {}
    for number, rows in enumerate(_shared_out(list(tensors), shards)):
        split = {"split.no": number, "split.count": shards, "split.tensors.count": len(tensors)}
        known = split if number else {**metadata, **split}
        files[f"{stem}-{number + 1:05}-of-{shards:05}.gguf"] = gguf(known, rows, data=not header_only)
    return files


@cache
def _words(count: int) -> tuple[list[str], list[str]]:
    dice = Random(7)  # noqa: S311 - the same words every time
    letters = "etaoinshrdlucmfwypvbgkjqxz"

    def part(longest: int) -> str:
        return "".join(dice.choices(letters, k=dice.randint(1, longest)))

    pairs = [(("Ġ" if dice.random() < 0.4 else "") + part(5), part(5)) for _ in range(count)]
    tokens = [f"{left}{right}{number % 7}" for number, (left, right) in enumerate(pairs)]
    return tokens, [f"{left} {right}" for left, right in pairs]


def tokenizer(entries: int = VOCABULARY) -> dict[str, object]:
    """Return the metadata of a byte-pair tokenizer: words and merges as long as those of real ones."""
    tokens, merges = _words(entries)
    return {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * entries, "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.eos_token_id": entries - 1, "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": "{%- for message in messages %}{{ message.content }}{%- endfor %}" * 80,
    }  # fmt: skip


def tiny_metadata(**changes: object) -> dict[str, object]:
    """Return the GGUF metadata of the tiny model."""
    return {**tiny.METADATA, **changes}


@cache
def _large_tiny(entries: int) -> bytes:
    return gguf(tiny_metadata(**tokenizer(entries)), tiny.gguf_tensors())


def tiny_with_tokenizer(entries: int = VOCABULARY) -> Files:
    """Return the tiny model as a GGUF whose tokenizer is as large as those of today's models."""
    return {"tiny-F16.gguf": _large_tiny(entries)}


def tiny_safetensors(shards: int = 1, kind: str = "BF16") -> Files:
    """Return the tiny model as transformers saves it."""
    tensors = {name: (kind, shape) for name, shape in tiny.shapes().items()}
    return safetensors_repo(tiny.CONFIG, tensors, shards)


def tiny_mlx(shards: int = 1) -> Files:
    """Return the tiny model as mlx-lm quantises it: 4 bits, affine, groups of 32."""
    packed = {"group_size": tiny.GROUP, "bits": 4, "mode": "affine"}
    config = {**tiny.CONFIG, "quantization": packed, "quantization_config": packed}
    return safetensors_repo(config, tiny.mlx_tensors(), shards)


def tiny_gguf(shards: int = 1, **metadata: object) -> Files:
    """Return the tiny model as llama.cpp's converter writes it: f16, vectors in f32."""
    return gguf_repo(tiny_metadata(**metadata), tiny.gguf_tensors(), "tiny-F16", shards)


def tiny_forms() -> dict[str, Files]:
    """Return the tiny model in every form by name; all describe the same model."""
    return {
        "safetensors": tiny_safetensors(), "safetensors shards": tiny_safetensors(3), "gguf": tiny_gguf(),
        "gguf shards": tiny_gguf(3), "mlx": tiny_mlx(), "npz": tiny.npz(),
    }  # fmt: skip


def _shared_out(items: list[Item], parts: int) -> list[list[Item]]:
    at = [len(items) * number // parts for number in range(parts + 1)]
    return [items[start:end] for start, end in pairwise(at)]
