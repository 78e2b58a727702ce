"""One tiny Llama in every form that a model comes in: config, safetensors, GGUF, MLX, npz, adapter."""

import json
from collections.abc import Mapping
from functools import cache
from math import prod

from support.checkpoints import (
    VOCABULARY,
    Files,
    Stored,
    gguf_repo,
    npy,
    npz_bytes,
    safetensors_bytes,
    safetensors_repo,
    tokenizer,
)
from support.gguf_models import decoder_rows, metadata
from support.gguf_writer import TensorRow, gguf

HIDDEN, INTER, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 64, 128, 2, 4, 2, 256, 2048
CONFIG: Mapping[str, object] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN,
    "intermediate_size": INTER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB, "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
KEYS: Mapping[str, object] = {
    "block_count": LAYERS, "embedding_length": HIDDEN, "feed_forward_length": INTER, "vocab_size": VOCAB,
    "context_length": CONTEXT, "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS,
}  # fmt: skip
METADATA: Mapping[str, object] = {**metadata("llama", KEYS), "general.name": "tiny"}
GROUP = 32


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


PARAMETERS = sum(map(prod, shapes().values()))


def config(**changes: object) -> bytes:
    """Return the config.json."""
    return json.dumps({**CONFIG, **changes}).encode()


def plain(shards: int = 1) -> Files:
    """Return the model as transformers saves it, in bfloat16."""
    return safetensors_repo(CONFIG, {name: ("BF16", shape) for name, shape in shapes().items()}, shards)


def many_shards(count: int = 160, each: int = 10) -> Files:
    """Return a repository of its config with many shards of experts, as the largest models come."""
    names = (f"model.layers.0.mlp.experts.{number}.up_proj.weight" for number in range(count * each))
    return safetensors_repo(CONFIG, dict.fromkeys(names, ("BF16", (HIDDEN, HIDDEN))), count)


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


def mlx() -> Files:
    """Return the model as mlx-lm quantises it."""
    packed = {"group_size": GROUP, "bits": 4, "mode": "affine"}
    stated = {**CONFIG, "quantization": packed, "quantization_config": packed}
    return safetensors_repo(stated, mlx_tensors())


def npz() -> Files:
    """Return the model with its weights in an npz file, in bfloat16."""
    arrays = {name: npy("<V2", shape, 2 * prod(shape)) for name, shape in shapes().items()}
    return {"config.json": config(), "weights.npz": npz_bytes(arrays)}


def gguf_tensors() -> list[TensorRow]:
    """Return the tensors as llama.cpp's converter names and stores them: f16, vectors in f32."""
    return decoder_rows(KEYS)


def gguf_file(**changes: object) -> bytes:
    """Return the model as one GGUF file."""
    return gguf({**METADATA, **changes}, gguf_tensors())


def gguf_shards(stem: str = "tiny-F16", shards: int = 3) -> Files:
    """Return the model as a split GGUF."""
    return gguf_repo(METADATA, gguf_tensors(), stem, shards)


@cache
def large_gguf(entries: int = VOCABULARY, *, scores: bool = False) -> bytes:
    """Return the model as a GGUF whose tokenizer is as large as those of today's models."""
    return gguf_file(**tokenizer(entries, scores=scores))


def forms() -> dict[str, Files]:
    """Return the model in every form by name."""
    return {
        "config": {"config.json": config()}, "safetensors": plain(), "sharded safetensors": plain(3),
        "npz": npz(), "GGUF": {"tiny-F16.gguf": gguf_file()}, "split GGUF": gguf_shards(), "MLX": mlx(),
    }  # fmt: skip


def adapter(base: str) -> Files:
    """Return a LoRA adapter of ``base``."""
    tensors: dict[str, Stored] = {
        f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight": ("F32", shape)
        for layer in range(LAYERS)
        for side, shape in (("A", (8, HIDDEN)), ("B", (HIDDEN, 8)))
    }
    stated = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": base}
    return {
        "adapter_config.json": json.dumps(stated).encode(),
        "adapter_model.safetensors": safetensors_bytes(tensors),
    }
