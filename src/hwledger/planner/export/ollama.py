"""Ollama: a Modelfile and the variables of its server, planned by the rules of llama.cpp."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.model.origin import Origin, Place
from hwledger.planner.export import figures
from hwledger.planner.export.llama_cpp import check_as_stored
from hwledger.planner.export.recipe import Draft, Recipe, Setting
from hwledger.planner.export.reference import (
    ADAPTER,
    GGUF,
    adapter_of,
    no_such_packing,
    origin_of,
    weights_name,
)
from hwledger.planner.export.spelling import word_of, words_of
from hwledger.planner.export.target import draft_for, program
from hwledger.planner.plan import Plan

MEMORY: Final = ("n_cpu_moe", "cpu_moe", "no_kv_offload", "swa_full", "kv_unified", "op_offload", "load_mtp",
                 "tensor_split", "split_mode", "backend", "n_outputs_max", "n_rs_seq")  # fmt: skip

CONVERTS: Final = (
    "Ollama up to 0.34 makes a GGUF of the folder; later ones do not (ollama/ollama pull request 14969):"
    " make it with llama.cpp's convert_hf_to_gguf.py and llama-quantize there, and plan the file"
)


def build(plan: Plan) -> Recipe:
    """Return how Ollama runs the plan; ``settings`` are the parameters of its Modelfile.

    Raises:
        UsageError: Ollama cannot, with what to do instead.
    """
    draft = draft_for(plan, "ollama")
    origin = origin_of(plan.spec)
    model = _from(draft, origin)
    draft.note("Ollama has no profile of its own: memory is planned by the rules of llama.cpp")
    _refuse(draft)
    settings = _parameters(draft)
    facts = program("ollama")
    local = origin.name if origin.place in {Place.FILE, Place.FOLDER} else ""
    return Recipe(
        target="ollama", title=facts.title, version="",
        program=("ollama", "create", name_of(plan)), model=model,
        local=local, settings=settings, env=_variables(draft), port=facts.port, health=facts.health,
        notes=tuple(draft.notes),
    )  # fmt: skip


def name_of(plan: Plan) -> str:
    """Return a name for the model in Ollama: that of the plan's, in the letters that names may have."""
    base = plan.spec.id.rpartition("/")[2].lower()
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in base)
    return f"{kept.strip('._-')[:80] or 'model'}-planned"


def _from(draft: Draft, origin: Origin) -> str:
    """Return what the Modelfile builds on."""
    spec = draft.plan.spec
    if origin.place is Place.OLLAMA:
        check_as_stored(draft)
        return origin.name
    if origin.place is Place.FOLDER and spec.format != GGUF:
        draft.note(CONVERTS)
        return origin.name
    check_as_stored(draft)
    if origin.place is Place.FILE:
        return origin.name
    if origin.place is Place.HUB and origin.path.endswith(".gguf"):
        if spec.revision:
            draft.note(
                f"Ollama takes the newest commit of {origin.name}; the plan is of {spec.revision[:12]}"
            )
        return f"hf.co/{origin.name}:{origin.path.rpartition('/')[2]}"
    raise UsageError(
        f"Ollama cannot be told {origin.name}: name a GGUF (org/repo:Q4_K_M, a file), a folder"
        f" of safetensors, or"
        " a model of its library (ollama:NAME), and plan that"
    )


def quantised(plan: Plan) -> str:
    """Return what ``ollama create`` packs a folder of safetensors into; empty: nothing.

    Raises:
        UsageError: it does not pack into that.
    """
    if plan.request.weights is None:
        return ""
    name = weights_name(plan.request.weights)
    word = word_of("ollama", "weights", name, "")
    if word is None:
        raise no_such_packing(Draft(plan, "ollama", "Ollama", ""), name)
    return word


def _refuse(draft: Draft) -> None:
    """Refuse what moves memory and cannot be told; note what does not.

    Raises:
        UsageError: experts in host memory, or caches of two types.
    """
    made, given = draft.plan.memory.options, draft.plan.request.options
    if made["n_cpu_moe"]:
        raise UsageError(
            "Ollama cannot keep experts alone in host memory: export to llama.cpp, or plan without"
        )
    if made["cache_type_k"] != made["cache_type_v"]:
        raise UsageError("Ollama keeps K and V in one type: plan with one --kv-cache, or export to llama.cpp")
    for name in MEMORY:
        if given.get(name):
            draft.note(f"{name}={given[name]} is planned and cannot be told to Ollama")
    if made["n_ubatch"] != made["n_batch"]:
        draft.note(
            f"Ollama takes num_batch for both batches; the plan's scratch memory is that of"
            f" n_ubatch={made['n_ubatch']}"
        )


def _parameters(draft: Draft) -> tuple[Setting, ...]:
    plan, made, given = draft.plan, draft.plan.memory.options, draft.plan.request.options
    each = int(str(made["n_ctx"])) // int(str(made["n_parallel"]))
    values: dict[str, tuple[object, str]] = {
        "num_ctx": (each, figures.context(plan)),
        "num_gpu": (
            made["n_gpu_layers"],
            f"layers on accelerators, the output one more; {figures.weights(plan)}",
        ),
        "num_batch": (made["n_ubatch"], figures.scratch(plan)),
    }
    if "main_gpu" in given:
        values["main_gpu"] = (given["main_gpu"], "as given")
    if given.get("mmap") is False:
        values["use_mmap"] = ("false", "as given: weights are read, not mapped")
    made_of = [Setting(option=name, words=(), value=str(v), why=why) for name, (v, why) in values.items()]
    return (*_adapter(draft), *made_of)


def _adapter(draft: Draft) -> tuple[Setting, ...]:
    """Return the adapter that the model is made with.

    Raises:
        UsageError: it does not lie on this machine.
    """
    adapter = adapter_of(draft)
    if adapter is None:
        return ()
    if not adapter.local:
        raise UsageError(
            f"Ollama takes an adapter from this machine alone, and {adapter.text} is on the hub: fetch it"
            f" with 'hf download {adapter.text} --local-dir DIR' and plan the folder"
        )
    why = "the adapter's weights are in the plan"
    return (Setting(option=ADAPTER, words=(), value=adapter.local, why=why),)


def _variables(draft: Draft) -> dict[str, Setting]:
    plan, made = draft.plan, draft.plan.memory.options
    kind = word_of("ollama", "kv_cache", str(made["cache_type_k"]), "")
    if kind is None:
        can = ", ".join(words_of("ollama", "kv_cache", ""))
        raise UsageError(
            f"Ollama keeps no KV cache as {made['cache_type_k']} (it can: {can}): plan with --kv-cache"
        )
    flash = "1" if made["flash_attn"] == "on" else "0"
    values = {
        "OLLAMA_NUM_PARALLEL": (str(made["n_parallel"]), figures.requests(plan)),
        "OLLAMA_KV_CACHE_TYPE": (kind, figures.per_token(plan)),
        "OLLAMA_FLASH_ATTENTION": (flash, "the buffers are planned that way"),
    }
    return {n: Setting(option=n, words=(), value=v, why=why) for n, (v, why) in values.items()}
