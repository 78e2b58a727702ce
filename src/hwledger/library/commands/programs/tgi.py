"""Text Generation Inference, planned by the rules of vLLM."""

from typing import Final

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs import vllm
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment

_BY_ENV: Final = {
    "MODEL_ID": "--model-id", "NUM_SHARD": "--num-shard", "QUANTIZE": "--quantize", "REVISION": "--revision",
    "MAX_TOTAL_TOKENS": "--max-total-tokens", "MAX_BATCH_PREFILL_TOKENS": "--max-batch-prefill-tokens",
    "CUDA_MEMORY_FRACTION": "--cuda-memory-fraction", "KV_CACHE_DTYPE": "--kv-cache-dtype",
}  # fmt: skip
_LOADED: Final = {
    "eetq": "int8", "bitsandbytes": "int8",
}  # fmt: skip
"""Types that TGI packs weights into while loading (docs/source/reference/launcher.md, ``--quantize``)."""


def read(call: Call) -> Deployment:
    """Return what a command of TGI runs; its own variables count below its flags.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "vllm")
    draft.note("Text Generation Inference has no profile of its own yet: it is planned by the rules of vLLM")
    told = [word for name, flag in _BY_ENV.items() if name in call.env for word in (flag, call.env[name])]
    for item in table("tgi").read([*told, *call.words]).items:
        name = item.flag.option if item.flag else ""
        if name == "quantization" and item.value in _LOADED:
            draft.values["weights"] = _LOADED[item.value]
        elif name in {"quantization", "kv_cache_dtype"}:
            item.value = item.value.replace("bitsandbytes-nf4", "bitsandbytes")
            vllm.enter(draft, item)
        else:
            draft.take(item)
    if "max_model_len" not in draft.options:
        draft.note(
            "TGI is told no --max-total-tokens: it takes what fits, at most what the model was trained with"
        )
    return draft.deployment()
