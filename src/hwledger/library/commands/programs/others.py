"""Engines without a profile that are planned by the rules of vLLM: TensorRT-LLM and LMDeploy."""

from hwledger.library.commands.draft import Call, Draft, whole
from hwledger.library.commands.programs import vllm
from hwledger.library.commands.table import Item, table
from hwledger.library.commands.written import flags_of
from hwledger.library.deployment import Deployment


def read_trtllm(call: Call) -> Deployment:
    """Return what ``trtllm-serve`` runs.

    Raises:
        UsageError: it names no model.
    """
    words = call.words[1:] if call.words[:1] == ("serve",) else call.words
    return _read(call, words, "trtllm", "TensorRT-LLM")


def read_lmdeploy(call: Call) -> Deployment:
    """Return what ``lmdeploy serve api_server`` runs.

    Raises:
        UsageError: it names no model.
    """
    return _read(call, call.words, "lmdeploy", "LMDeploy")


def _read(call: Call, words: tuple[str, ...], name: str, program: str) -> Deployment:
    draft = Draft(call, "vllm", whole)
    draft.note(f"{program} has no profile of its own yet: it is planned by the rules of vLLM")
    parsed = table(name).read(words)
    for item in parsed.items:
        enter(draft, item)
    if draft.values.pop("config", "") and "tensor_parallel_size" not in draft.options:
        draft.unread.add("tensor_parallel_size")  # the file may say it
    vllm.settle_model(draft, parsed.loose)
    vllm.settle(draft)
    return draft.deployment()


def enter(draft: Draft, item: Item) -> None:
    """Enter one flag: more than one share of the experts is expert parallelism."""
    if item.flag and item.flag.option == "experts":
        if (whole(item.value) or 1) > 1:
            draft.option("enable_expert_parallel", "on", item.said)
    elif item.flag and item.flag.option == "config":
        _settings(draft, item)
    else:
        vllm.enter(draft, item)


def _settings(draft: Draft, item: Item) -> None:
    """Enter the settings of a file, where the text shows it: in TensorRT-LLM they count above the flags."""
    flags = flags_of(draft, item.value)
    if flags is None:
        draft.note(f"{item.said[:80]} can change the memory and is not planned")
        draft.values["config"] = item.value
        return
    flags = [flag.replace("--kv_cache_config.dtype", "--kv_cache_dtype") for flag in flags]
    for inner in table("trtllm").read(flags).items:
        if not (inner.flag and inner.flag.option == "config"):
            enter(draft, inner)
