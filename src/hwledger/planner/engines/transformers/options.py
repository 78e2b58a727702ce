"""The options of transformers that shape memory, under the names of ``from_pretrained`` and ``generate``."""

from collections.abc import Mapping
from typing import Final

from hwledger.planner.options import Option, choice, flag, positive, word

STATIC: Final = frozenset({"static", "offloaded_static", "hybrid", "sliding_window"})
OFFLOADED: Final = frozenset({"offloaded", "offloaded_static"})

OPTIONS: Final[Mapping[str, Option]] = {
    "cache_implementation": Option(
        choice("dynamic", "offloaded", "static", "offloaded_static", "quantized", "hybrid", "sliding_window"),
        "kind of cache (dynamic)",
    ),
    "max_cache_len": Option(positive, "length of a static cache"),
    "max_length": Option(positive, "tokens of one request", ("max_context", "n_ctx")),
    "batch_size": Option(positive, "requests at once"),
    "attn_implementation": Option(
        choice("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"),
        "attention kernel (sdpa)",
    ),
    "dtype": Option(word, "number type that the weights are loaded in", ("torch_dtype",)),
    "device_map": Option(
        choice("auto", "balanced", "cuda", "cpu", "sequential"), "how layers are put on devices"
    ),
    "prefill_chunk_size": Option(positive, "prompt tokens processed at once (all of them)"),
    "backend": Option(choice("quanto", "hqq", "fp8"), "how a quantised cache is packed (quanto)"),
    "nbits": Option(choice("1", "2", "3", "4", "8"), "bits of a quantised cache (4)"),
    "q_group_size": Option(positive, "elements that share a scale in a quantised cache (64)"),
    "residual_length": Option(positive, "tokens that a quantised cache keeps unquantised (128)"),
    "use_cache": Option(flag, "keep a cache at all (on)"),
    "full_logits": Option(flag, "logits of every prompt token, as a plain forward pass makes them (off)"),
}
"""``full_logits`` stands for a forward pass without ``logits_to_keep``; ``generate`` sets that to 1."""
