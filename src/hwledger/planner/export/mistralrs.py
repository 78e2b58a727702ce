"""mistral.rs: ``mistralrs serve``, planned with the engine of the model's format."""

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.model.origin import Place
from hwledger.planner.engines.vllm.cache_types import cache_type
from hwledger.planner.export import figures
from hwledger.planner.export.llama_cpp import check_as_stored, places_of
from hwledger.planner.export.recipe import Draft, Recipe
from hwledger.planner.export.reference import (
    ADAPTER,
    GGUF,
    adapter_of,
    check_readable,
    hub_or_folder,
    origin_of,
    packed_as,
)
from hwledger.planner.export.spelling import word_of, words_of
from hwledger.planner.export.target import draft_for, finish
from hwledger.planner.memory import HOST
from hwledger.planner.plan import Plan

PLAIN = frozenset({"f16", "bf16", "auto"})


def build(plan: Plan) -> Recipe:
    """Return how mistral.rs runs the plan.

    Raises:
        UsageError: mistral.rs cannot, with what to do instead.
    """
    draft = draft_for(plan, "mistralrs")
    check_readable(draft)
    draft.note(f"mistral.rs has no profile of its own: memory is planned by the rules of {plan.engine}")
    model, local = _model(draft)
    tokens, users = plan.memory.context_tokens, plan.memory.concurrency
    most = plan.request.options.get("max_num_seqs") or users
    draft.put("concurrency", most, figures.requests(plan))
    _cache(draft, tokens * users)
    draft.put("context", tokens, figures.context(plan))
    draft.put("batch", users, "layers are laid out for that many requests")
    _devices(draft)
    return finish(draft, ("mistralrs", "serve"), model, local=local)


def _model(draft: Draft) -> tuple[str, str]:
    """Name the model; GGUF by folder or repository, and file."""
    if draft.plan.spec.format != GGUF:
        model = hub_or_folder(draft)
        if model.revision:
            draft.note(f"mistral.rs takes the newest commit; the plan is of {model.revision[:12]}")
        draft.put("model", model.text, "the model that was planned")
        _packing(draft)
        if adapter := adapter_of(draft):
            draft.put("adapter", f"{ADAPTER}={adapter.text}", "the adapter's weights are in the plan")
        return model.text, model.local
    if draft.plan.spec.adapter:
        raise UsageError(
            "mistral.rs takes this adapter with the safetensors of its base, not with a GGUF: plan that,"
            " or merge the two and plan the result"
        )
    check_as_stored(draft)
    origin = origin_of(draft.plan.spec)
    folder, _, file = (origin.name if origin.place is Place.FILE else origin.path).rpartition("/")
    if origin.place not in {Place.FILE, Place.HUB}:
        raise UsageError(
            f"mistral.rs cannot be told {origin.name}: plan the GGUF file itself, or its repository"
        )
    named = origin.name if origin.place is Place.HUB else folder or "."
    draft.put("format", "gguf", "the format of the file")
    draft.put("model", named, "where the file is")
    draft.put("gguf_file", f"{folder}/{file}" if origin.place is Place.HUB and folder else file, "the file")
    return named, origin.name if origin.place is Place.FILE else ""


def _packing(draft: Draft) -> None:
    name, word = packed_as(draft)
    if not name:
        return
    draft.put("weights", word, f"packed while loading: {figures.weights(draft.plan)}")
    if name.endswith("_M"):
        draft.note(f"mistral.rs packs every matrix as {word}; the plan is of llama.cpp's mix {name}")


def _cache(draft: Draft, tokens: int) -> None:
    """Set the pool of paged attention, which only CUDA has by itself, and its type."""
    plan = draft.plan
    vendors = {device.vendor for device in plan.request.devices}
    if vendors and not vendors & {"NVIDIA", "any"}:
        draft.note("mistral.rs pages its cache on CUDA alone: its own cache grows with the requests here")
        return
    draft.put("paged", True, "the cache is a pool of fixed size")
    draft.put("pool_tokens", tokens, f"tokens of all requests together; {figures.requests(plan)}")
    made = plan.memory.options
    if made.get("cache_type_k") != made.get("cache_type_v"):
        raise UsageError(
            "mistral.rs keeps K and V in one type: plan with one --kv-cache, or export to llama.cpp"
        )
    kind = plan.memory.kv_type.split(" ", 1)[0]
    if kind in PLAIN or _is_half(kind):
        return
    word = word_of("mistralrs", "kv_cache", kind, draft.version)
    if word is None:
        can = ", ".join(("auto", *words_of("mistralrs", "kv_cache", draft.version)))
        raise UsageError(f"mistral.rs keeps no KV cache as {kind} (it can: {can}): plan with --kv-cache")
    draft.put("kv_cache", word, figures.per_token(plan))


def _is_half(kind: str) -> bool:
    try:
        return cache_type(kind) is None
    except UnknownOptionError:  # a name of another engine's
        return False


def _devices(draft: Draft) -> None:
    """Lay layers out where the plan does; ranks of tensor parallelism are mistral.rs's own business."""
    plan = draft.plan
    given = plan.request.options
    draft.skip(*given)
    if plan.engine != "llama.cpp":
        if len(plan.devices) > 1:
            draft.note(
                f"mistral.rs spreads the model over {len(plan.devices)} devices itself, by NCCL where it can"
            )
        _left(draft, set(given))
        return
    places = places_of(plan)
    on_device = [index for index in places.layers if index != HOST]
    if not on_device:
        draft.put("cpu", True, "no layer is on an accelerator")
    elif set(places.layers) != {0}:
        shares = ";".join(f"{index}:{on_device.count(index)}" for index in sorted(set(on_device)))
        draft.put("device_layers", shares, f"layers by device; {figures.weights(plan)}")
    if plan.memory.options["n_cpu_moe"]:
        raise UsageError(
            "mistral.rs cannot keep experts alone in host memory: export to llama.cpp, or plan without"
        )
    _left(
        draft, set(given) - {"n_gpu_layers", "n_ctx", "n_parallel", "tensor_split", "main_gpu", "split_mode"}
    )


def _left(draft: Draft, names: set[str]) -> None:
    told = {"max_model_len", "max_num_seqs", "kv_cache_dtype", "cache_type_k", "cache_type_v", "max_context"}
    for name in sorted(names - told):
        draft.note(f"{name}={draft.plan.request.options[name]} is planned and cannot be told to mistral.rs")
