"""llama.cpp: ``llama-server``."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.model.origin import Origin, Place
from hwledger.planner.engines.llama_cpp.dialect import dialect_of
from hwledger.planner.engines.llama_cpp.placement import Places, place
from hwledger.planner.engines.llama_cpp.settings import build_number, settle
from hwledger.planner.export import figures
from hwledger.planner.export.recipe import Draft, Recipe
from hwledger.planner.export.reference import adapter_of, check_readable, origin_of
from hwledger.planner.export.spelling import spell
from hwledger.planner.export.target import draft_for, finish
from hwledger.planner.plan import Plan

INTERNAL: Final = frozenset({"n_outputs_max", "n_rs_seq"})


def build(plan: Plan) -> Recipe:
    """Return how ``llama-server`` runs the plan.

    Raises:
        UsageError: it cannot, with what to do instead.
    """
    draft = draft_for(plan, "llama.cpp")
    check_readable(draft)
    check_as_stored(draft)
    origin = origin_of(plan.spec)
    _model(draft, origin)
    _context(draft)
    _layers(draft)
    _experts(draft)
    _split(draft)
    _switches(draft)
    _adapter(draft)
    if spell("llama.cpp", "fit", False, draft.version):
        draft.put("fit", False, "nothing is shrunk to fit: these are the planned numbers")
    draft.rest()
    local = (origin.path or "") if origin.place is Place.OLLAMA else origin.name
    return finish(
        draft, ("llama-server",), origin.name, local=local if origin.place in LOCAL else "",
    )  # fmt: skip


def _adapter(draft: Draft) -> None:
    """Load an adapter, which has to be a GGUF file.

    Raises:
        UsageError: it is another, with the program that makes one.
    """
    adapter = adapter_of(draft)
    if adapter is None:
        return
    if not adapter.local.lower().endswith(".gguf"):
        raise UsageError(
            f"llama.cpp takes an adapter as a GGUF file, and {adapter.text} is none: convert it with"
            " convert_lora_to_gguf.py, plan its base, and add --lora FILE.gguf to that command"
        )
    draft.put("adapter", adapter.local, "the adapter's weights are in the plan")


LOCAL: Final = frozenset({Place.FILE, Place.OLLAMA})


def check_as_stored(draft: Draft) -> None:
    """Refuse weights in another type than the file's: llama.cpp packs nothing while loading.

    Raises:
        UsageError: with the command that re-packs a file.
    """
    if wanted := draft.plan.request.weights:
        raise UsageError(
            f"{draft.title} loads a GGUF file as it is stored, and the plan has weights in"
            f" {wanted}: make that"
            f" file with llama-quantize IN.gguf OUT.gguf {wanted}, or name one that is so, and plan it"
        )


def _model(draft: Draft, origin: Origin) -> None:
    why = "the file that was planned"
    match origin.place:
        case Place.HUB:
            draft.put("hf_repo", origin.name, "the repository that was planned")
            draft.put("hf_file", origin.path, why)
            if draft.plan.spec.revision:
                draft.note(
                    f"llama-server takes the newest commit of {origin.name}; the plan is of"
                    f" {draft.plan.spec.revision[:12]}: fetch that with hf download --revision to be sure"
                )
        case Place.WEB:
            draft.put("model_url", origin.name, why)
            if origin.withheld:
                draft.note(
                    "the address is written without what may be a secret in it: put that back to run it"
                )
        case Place.OLLAMA if origin.path:
            draft.put("model", origin.path, f"the blob of Ollama's {origin.name}")
        case Place.FILE:
            draft.put("model", origin.name, why)
        case _:
            raise UsageError(
                f"where the file of {origin.name} lies is not known here: export it to ollama,"
                f" or plan the file"
            )


def _context(draft: Draft) -> None:
    plan, made = draft.plan, draft.plan.memory.options
    slots = int(str(made["n_parallel"]))
    share = f" for each of {slots}" if slots > 1 else ""
    draft.put("n_ctx", made["n_ctx"], f"{figures.context(plan)}{share}")
    draft.put("n_parallel", slots, figures.requests(plan))
    if slots > 1 or "kv_unified" in plan.request.options:
        draft.put(
            "kv_unified",
            made["kv_unified"],
            "one cache for all requests" if made["kv_unified"] else "a cache for each",
        )
    draft.skip("kv_unified")
    draft.put("n_batch", made["n_batch"], "tokens that are taken in at once")
    draft.put("n_ubatch", made["n_ubatch"], figures.scratch(plan))
    for name in ("cache_type_k", "cache_type_v"):
        draft.put(name, made[name], figures.per_token(plan))
    draft.put("flash_attn", made["flash_attn"] == "on", "the buffers are planned that way")
    draft.skip("swa_full")
    if made["swa_full"]:
        draft.as_given("swa_full")


def places_of(plan: Plan) -> Places:
    """Return which device holds which layer of a plan of llama.cpp."""
    request = plan.request
    settings = settle(request, dialect_of(request.spec, build_number(request.version)))
    return place(settings, request.devices, len(plan.spec.layers) + len(plan.spec.mtp_layers))


def _layers(draft: Draft) -> None:
    count = int(str(draft.plan.memory.options["n_gpu_layers"]))
    draft.put(
        "n_gpu_layers", count, f"layers on accelerators, the output one more; {figures.weights(draft.plan)}"
    )


def _experts(draft: Draft) -> None:
    """Keep the experts of the first layers in host memory, as this build spells that."""
    draft.skip("n_cpu_moe", "cpu_moe")
    count = int(str(draft.plan.memory.options["n_cpu_moe"]))
    if not count:
        return
    everything = bool(draft.plan.request.options.get("cpu_moe"))
    why = f"experts of {count} layers stay in host memory; {figures.need(draft.plan)}"
    if build_number(draft.version) >= 6123:  # noqa: PLR2004 - the flags.csv row of n_cpu_moe
        draft.put("cpu_moe" if everything else "n_cpu_moe", everything or count, why)
        return
    layers = r"\d+" if everything else "|".join(str(index) for index in range(count))
    pattern = "exps=CPU" if everything else rf"blk\.({layers})\.ffn_.*_exps\.=CPU"
    draft.put("override_tensor", pattern, why)


def _split(draft: Draft) -> None:
    """Set which device gets how many layers: by count, so that rounding cannot move one."""
    plan = draft.plan
    devices, mode = plan.request.devices, plan.request.options.get("split_mode", "layer")
    draft.skip("tensor_split", "split_mode", "main_gpu")
    if len(devices) < 2:  # noqa: PLR2004 - nothing to split
        return
    draft.put(
        "split_mode", mode, "each device holds whole layers" if mode == "layer" else "one device is used"
    )
    places = places_of(plan)
    if mode != "layer":
        draft.put(
            "main_gpu", places.devices[0], f"device {places.devices[0]}: {devices[places.devices[0]].name}"
        )
        return
    held = [*places.layers, places.output]
    counts = tuple(held.count(index) for index in range(len(devices)))
    names = ", ".join(f"{count} on {device.name}" for count, device in zip(counts, devices, strict=True))
    if any(counts):
        draft.put("tensor_split", counts, f"layers: {names}")


def _switches(draft: Draft) -> None:
    given = draft.plan.request.options
    draft.skip("no_kv_offload", "op_offload", "mmap", "load_mtp")
    for name, usual in (("no_kv_offload", False), ("op_offload", True), ("mmap", True), ("load_mtp", False)):
        if given.get(name, usual) is not usual:
            draft.as_given(name)
    if built := given.get("backend"):
        draft.skip("backend")
        draft.note(f"backend={built} is no flag: the llama.cpp that runs this has to be built for {built}")
    for name in INTERNAL & given.keys():
        draft.skip(name)
        draft.note(f"{name}={given[name]} is a setting of libllama that llama-server has no flag for")
