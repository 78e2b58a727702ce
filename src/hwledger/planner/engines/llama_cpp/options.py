"""The options of llama.cpp that shape its memory, under the names of its command line."""

from collections.abc import Mapping
from typing import Final

from hwledger.planner.options import Option, choice, flag, integer, positive, ratios

KV_TYPES: Final = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""Cache types that llama-server takes (llama.cpp b11434 ``common/arg.cpp`` ``kv_cache_types``)."""


def _switch(text: str) -> str:
    """``on``, ``off`` or ``auto``; true and false are understood."""
    value = text.strip().lower()
    return value if value == "auto" else ("on" if flag(value) else "off")


def _layers(text: str) -> int:
    """A number of layers; ``all`` and ``auto`` mean every one."""
    return -1 if text.strip().lower() in {"all", "auto"} else integer(text)


BACKENDS: Final = ("CUDA", "ROCm", "Vulkan", "Metal", "SYCL")


def _backend(text: str) -> str:
    """A backend in any case; ``HIP`` is ROCm."""
    names = {name.lower(): name for name in (*BACKENDS, "HIP")}
    found = names.get(text.strip().lower())
    if found is None:
        raise ValueError(f"must be one of {', '.join(BACKENDS)}")
    return "ROCm" if found == "HIP" else found


OPTIONS: Final[Mapping[str, Option]] = {
    "n_ctx": Option(integer, "tokens of the context over all sequences; 0: as trained", ("c", "ctx_size")),
    "n_batch": Option(positive, "logical batch in tokens (2048)", ("b", "batch_size")),
    "n_ubatch": Option(positive, "physical batch in tokens (512)", ("ub", "ubatch_size")),
    "n_parallel": Option(positive, "requests at once (slots)", ("np", "parallel", "n_seq_max")),
    "kv_unified": Option(flag, "one cache shared by all slots (off)", ("kvu",)),
    "flash_attn": Option(_switch, "flash attention: on, off or auto (auto)", ("fa",)),
    "cache_type_k": Option(choice(*KV_TYPES), "number type of K (f16)", ("ctk", "type_k")),
    "cache_type_v": Option(choice(*KV_TYPES), "number type of V (f16)", ("ctv", "type_v")),
    "swa_full": Option(flag, "sliding layers keep the whole context (off)"),
    "n_gpu_layers": Option(
        _layers, "layers on accelerators, output as one more (all)", ("ngl", "gpu_layers")
    ),
    "n_cpu_moe": Option(integer, "first layers whose experts stay in host memory (0)", ("ncmoe",)),
    "cpu_moe": Option(flag, "all experts stay in host memory (off)", ("cmoe",)),
    "tensor_split": Option(ratios, "share of each device, like 3,1 (by free memory)", ("ts",)),
    "split_mode": Option(choice("layer", "none"), "how devices share the model (layer)", ("sm",)),
    "main_gpu": Option(integer, "the device of split_mode none (0)", ("mg",)),
    "no_kv_offload": Option(flag, "the cache stays in host memory (off)", ("nkvo",)),
    "n_outputs_max": Option(integer, "tokens of a batch with logits; 0: all (one per slot)"),
    "n_rs_seq": Option(integer, "recurrent states kept per slot for roll-back (0)"),
    "mmap": Option(flag, "weights in host memory are mapped from the file (on)"),
    "op_offload": Option(flag, "large batches copy host weights to the accelerator (on)"),
    "backend": Option(
        _backend, "what the build computes with: CUDA, ROCm, Vulkan, Metal, SYCL (by the device's vendor)"
    ),
    "load_mtp": Option(flag, "load the multi-token-prediction blocks too (off)"),
}
