"""A packed Llama in a GGUF file, unpacked: the same numbers in float32 as safetensors and as GGUF.

Engines that compute in float32 on one set of weights answer with the same likeliest tokens, and packed ones
do not: so they are held against each other on what is written here. The layout of a file: ggml
``docs/gguf.md`` version 3; of its blocks: ggml ``src/ggml-common.h`` and ``ggml-quants.c``; the order of
rows of queries and keys: llama.cpp ``conversion/llama.py`` ``permute``.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
ALIGNMENT: Final = 32
BLOCK: Final = 32
F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8
BLOCK_BYTES: Final = {F32: 4 * BLOCK, F16: 2 * BLOCK, Q4_1: 20, Q8_0: 34}
_NUMBERS: Final = dict(zip(range(13), ("B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d"),
                           strict=True))  # fmt: skip
_STRING, _LIST = 8, 9
_CONTROL: Final = 3
NAMES: Final = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """One tensor of a file: its shape as GGUF states it (the rows last), type and place."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Packed:
    """A GGUF file: what it says of itself, the same as it stands there, and its tensors."""

    path: Path
    said: dict[str, Any]
    as_stored: bytes
    tensors: tuple[Stored, ...]
    begin: int

    def arrays(self) -> Iterator[tuple[Stored, Array]]:
        """Yield each tensor in float32, the rows first."""
        for each in self.tensors:
            size = BLOCK_BYTES[each.kind] * (int(np.prod(each.shape)) // BLOCK)
            raw = np.fromfile(self.path, np.uint8, size, offset=self.begin + each.offset)
            yield each, numbers(raw, each.kind).reshape(each.shape[::-1])


def shallow(packed: Packed, layers: int) -> Packed:
    """Return a file's first layers as a model of their own: it talks nonsense, and is quick."""
    key = struct.pack("<Q", 17) + b"llama.block_count" + struct.pack("<I", 4)
    stored = packed.as_stored.replace(
        key + struct.pack("<I", packed.said["llama.block_count"]), key + struct.pack("<I", layers)
    )
    tensors = tuple(each for each in packed.tensors if _layer(each.name) < layers)
    said = {**packed.said, "llama.block_count": layers}
    return replace(packed, said=said, as_stored=stored, tensors=tensors)


def _layer(name: str) -> int:
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blk" else -1


@dataclass(frozen=True)
class Unpacked:
    """The same numbers in two forms.

    Attributes:
        packed: what they came from.
        folder: safetensors, config and tokenizer.
        place: where the GGUF file is made when it is wanted.
    """

    packed: Packed
    folder: Path
    place: Path

    @classmethod
    def of(cls, packed: Packed, base: Path) -> "Unpacked":
        """Write the folder, and return both."""
        write_folder(packed, base / "smollm2-f32")
        return cls(packed, base / "smollm2-f32", base / "smollm2-f32.gguf")

    @property
    def gguf(self) -> Path:
        """The GGUF file."""
        if not self.place.exists():
            write_gguf(self.packed, self.place)
        return self.place

    def remove(self) -> None:
        """Remove both: they are half a gigabyte each."""
        shutil.rmtree(self.folder)
        self.place.unlink(missing_ok=True)


def numbers(raw: "npt.NDArray[np.uint8]", kind: int) -> Array:
    """Return what blocks of a type stand for."""
    if kind in {F32, F16}:
        return raw.view(np.float32 if kind == F32 else np.float16).astype(np.float32)
    blocks = raw.reshape(-1, BLOCK_BYTES[kind])
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    if kind == Q8_0:
        return (scale * blocks[:, 2:].view(np.int8)).reshape(-1)
    least = blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
    digits = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (scale * digits + least).reshape(-1)


def read(path: Path) -> Packed:
    """Return a file of which nothing bad is thought."""
    with path.open("rb") as file:
        _, _, tensors, keys = struct.unpack("<4sIQQ", file.read(24))
        said = {}
        for _ in range(keys):
            key = _text(file)
            said[key] = _value(file, _one(file, "I"))
        end = file.tell()
        found = tuple(_tensor(file) for _ in range(tensors))
        begin = -(-file.tell() // ALIGNMENT) * ALIGNMENT
        file.seek(24)
        return Packed(path, said, file.read(end - 24), found, begin)


def _one(file: BinaryIO, code: str) -> Any:
    return struct.unpack(f"<{code}", file.read(struct.calcsize(code)))[0]


def _text(file: BinaryIO) -> str:
    return file.read(_one(file, "Q")).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(file)
    if kind == _LIST:
        inner, count = _one(file, "I"), _one(file, "Q")
        return [_value(file, inner) for _ in range(count)]
    return _one(file, _NUMBERS[kind])


def _tensor(file: BinaryIO) -> Stored:
    name, rank = _text(file), _one(file, "I")
    shape = tuple(_one(file, "Q") for _ in range(rank))
    return Stored(name, shape, _one(file, "I"), _one(file, "Q"))


def write_gguf(packed: Packed, path: Path) -> None:
    """Write the same model with all its tensors in float32."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(packed.tensors), len(packed.said)) + packed.as_stored
    offset = 0
    for each in packed.tensors:
        name = each.name.encode()
        head += struct.pack("<Q", len(name)) + name + struct.pack(f"<I{len(each.shape)}Q", len(each.shape),
                                                                  *each.shape)  # fmt: skip
        head += struct.pack("<IQ", F32, offset)
        offset += 4 * int(np.prod(each.shape))  # each is a multiple of the alignment
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT))
        for _, array in packed.arrays():
            array.tofile(file)


def write_folder(packed: Packed, folder: Path) -> None:
    """Write config, tokenizer and float32 safetensors, as transformers, mlx-lm and mistral.rs read them."""
    folder.mkdir(parents=True, exist_ok=True)
    said = packed.said
    for name, content in (
        ("config.json", config(said)), ("tokenizer.json", tokenizer(said)),
        ("tokenizer_config.json", tokenizer_config(said)),
    ):  # fmt: skip
        (folder / name).write_text(json.dumps(content), "utf-8")
    _write_safetensors(packed, folder / "model.safetensors")


def config(said: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the model."""
    get = {key.removeprefix("llama."): value for key, value in said.items()}.get
    return {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "float32",
        "hidden_size": get("embedding_length"), "intermediate_size": get("feed_forward_length"),
        "num_hidden_layers": get("block_count"), "num_attention_heads": get("attention.head_count"),
        "num_key_value_heads": get("attention.head_count_kv"), "rope_theta": get("rope.freq_base"),
        "rms_norm_eps": get("attention.layer_norm_rms_epsilon"), "hidden_act": "silu",
        "max_position_embeddings": get("context_length"), "tie_word_embeddings": True,
        "vocab_size": len(said["tokenizer.ggml.tokens"]), "attention_bias": False, "mlp_bias": False,
        "bos_token_id": said["tokenizer.ggml.bos_token_id"],
        "eos_token_id": said["tokenizer.ggml.eos_token_id"],
    }  # fmt: skip


def tokenizer(said: dict[str, Any]) -> dict[str, Any]:
    """Return ``tokenizer.json``: byte-level BPE with single digits (llama.cpp calls it ``smollm``)."""
    words, kinds = said["tokenizer.ggml.tokens"], said["tokenizer.ggml.token_type"]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": number, "content": word, **special}
                         for number, (word, kind) in enumerate(zip(words, kinds, strict=True))
                         if kind == _CONTROL],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, bytewise]},
        "decoder": bytewise,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {word: number for number, word in enumerate(words)},
                  "merges": said["tokenizer.ggml.merges"]},
    }  # fmt: skip


def tokenizer_config(said: dict[str, Any]) -> dict[str, Any]:
    """Return ``tokenizer_config.json``."""
    words = said["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": said["tokenizer.chat_template"],
        "bos_token": words[said["tokenizer.ggml.bos_token_id"]],
        "eos_token": words[said["tokenizer.ggml.eos_token_id"]],
        "clean_up_tokenization_spaces": False, "add_bos_token": False,
        "model_max_length": said["llama.context_length"],
    }  # fmt: skip


def _write_safetensors(packed: Packed, path: Path) -> None:
    header, offset = {}, 0
    for each in packed.tensors:
        size = 4 * int(np.prod(each.shape))
        header[name_of(each.name)] = {"dtype": "F32", "shape": list(each.shape[::-1]),
                                      "data_offsets": [offset, offset + size]}  # fmt: skip
        offset += size
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for each, array in packed.arrays():
            _as_trained(each.name, array, packed.said).tofile(file)


def name_of(stored: str) -> str:
    """Return the name of a tensor in a checkpoint."""
    parts = stored.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{NAMES[parts[2]]}.{parts[3]}"
    return f"{NAMES[parts[0]]}.{parts[1]}"


def _as_trained(name: str, array: Array, said: dict[str, Any]) -> Array:
    """Return queries and keys with their rows in the order of the checkpoint."""
    heads = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
    key = next((key for part, key in heads.items() if f".{part}." in name), None)
    if key is None:
        return array
    rows = array.reshape(said[key], array.shape[0] // said[key] // 2, 2, *array.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(array.shape))
