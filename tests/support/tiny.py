"""One tiny Llama in every form that a model comes in: config, safetensors, GGUF, MLX, npz, adapter."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from math import prod

from support.gguf_writer import gguf

HIDDEN, INTER, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 64, 128, 2, 4, 2, 256, 2048
CONFIG: Mapping[str, object] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN,
    "intermediate_size": INTER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB, "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
GROUP = 32
BYTES = {"BF16": 2, "F16": 2, "F32": 4, "U32": 4}
Stored = tuple[str, tuple[int, ...]]


def shapes() -> dict[str, tuple[int, ...]]:
    """Return every tensor of the model by its name in a checkpoint."""
    kv = HIDDEN // HEADS * KV_HEADS
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, HIDDEN)}
    for layer in range(LAYERS):
        found |= {
            f"model.layers.{layer}.{name}.weight": shape
            for name, shape in {
                "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (kv, HIDDEN),
                "self_attn.v_proj": (kv, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
                "mlp.gate_proj": (INTER, HIDDEN), "mlp.up_proj": (INTER, HIDDEN),
                "mlp.down_proj": (HIDDEN, INTER),
                "input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,),
            }.items()
        }  # fmt: skip
    return found | {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCAB, HIDDEN)}


def safetensors(tensors: Mapping[str, Stored]) -> bytes:
    """Return a safetensors file of zeros; each tensor is (type, shape)."""
    header, end = {}, 0
    for name, (kind, shape) in tensors.items():
        size = prod(shape) * BYTES[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(end)


def checkpoint(tensors: Mapping[str, Stored], shards: int = 1) -> dict[str, bytes]:
    """Return the weight files of a repository, with their index where there are several."""
    if shards == 1:
        return {"model.safetensors": safetensors(tensors)}
    names = list(tensors)
    files, index = {}, {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = names[number::shards]
        files[file] = safetensors({name: tensors[name] for name in part})
        index |= dict.fromkeys(part, file)
    return {**files, "model.safetensors.index.json": json.dumps({"weight_map": index}).encode()}


def config(**changes: object) -> bytes:
    """Return the config.json."""
    return json.dumps({**CONFIG, **changes}).encode()


def plain(shards: int = 1) -> dict[str, bytes]:
    """Return the repository as transformers saves it."""
    return {"config.json": config(), **checkpoint({n: ("BF16", s) for n, s in shapes().items()}, shards)}


def mlx_tensors() -> dict[str, Stored]:
    """Return the tensors as MLX packs them in 4 bits: affine, groups of 32."""
    found: dict[str, Stored] = {}
    for name, shape in shapes().items():
        if len(shape) == 1:
            found[name] = ("BF16", shape)
            continue
        stem = name.removesuffix(".weight")
        found[name] = ("U32", (shape[0], shape[1] // 8))
        found[f"{stem}.scales"] = found[f"{stem}.biases"] = ("BF16", (shape[0], shape[1] // GROUP))
    return found


def mlx() -> dict[str, bytes]:
    """Return the repository as mlx-lm quantises it."""
    quantised = {"group_size": GROUP, "bits": 4, "mode": "affine"}
    return {
        "config.json": config(quantization=quantised, quantization_config=quantised),
        **checkpoint(mlx_tensors()),
    }


def npz() -> dict[str, bytes]:
    """Return the repository with its weights in an npz file, in bfloat16."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, shape in shapes().items():
            head = repr({"descr": "<V2", "fortran_order": False, "shape": shape}).encode()
            raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(2 * prod(shape))
            archive.writestr(f"{name}.npy", raw)
    return {"config.json": config(), "weights.npz": buffer.getvalue()}


GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
METADATA: Mapping[str, object] = {
    "general.architecture": "llama", "general.name": "tiny", "llama.block_count": LAYERS,
    "llama.embedding_length": HIDDEN, "llama.feed_forward_length": INTER, "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS, "llama.context_length": CONTEXT, "llama.vocab_size": VOCAB,
}  # fmt: skip


def gguf_tensors() -> list[tuple[str, tuple[int, ...], int]]:
    """Return the tensors as llama.cpp's converter names and stores them: f16, vectors in f32."""
    rows = []
    for name, shape in shapes().items():
        stem = name.removesuffix(".weight")
        if stem.startswith("model.layers."):
            _, _, layer, rest = stem.split(".", 3)
            stem = f"blk.{layer}.{GGUF_NAMES[rest]}"
        stem = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}.get(
            stem, stem
        )
        rows.append((f"{stem}.weight", tuple(reversed(shape)), 0 if len(shape) == 1 else 1))
    return rows


def gguf_file(**metadata: object) -> bytes:
    """Return the model as one GGUF file."""
    return gguf({**METADATA, **metadata}, gguf_tensors())


def gguf_shards(count: int) -> list[bytes]:
    """Return the model as a split GGUF, as llama-gguf-split writes it."""
    rows = gguf_tensors()
    parts: Sequence[list[tuple[str, tuple[int, ...], int]]] = [rows[number::count] for number in range(count)]
    return [
        gguf(
            (dict(METADATA) if not number else {})
            | {"split.no": number, "split.count": count, "split.tensors.count": len(rows)},
            part,
        )
        for number, part in enumerate(parts)
    ]


def adapter(base: str) -> dict[str, bytes]:
    """Return a LoRA adapter of ``base``."""
    tensors: dict[str, Stored] = {
        f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight": ("F32", shape)
        for layer in range(LAYERS)
        for side, shape in (("A", (8, HIDDEN)), ("B", (HIDDEN, 8)))
    }
    stated = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": base}
    return {
        "adapter_config.json": json.dumps(stated).encode(),
        "adapter_model.safetensors": safetensors(tensors),
    }
