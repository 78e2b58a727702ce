"""How LM Studio runs a model: the settings that its server loaded it with."""

from typing import Final

from hwledger.errors import InputError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.deployment import Deployment
from hwledger.library.lmstudio.server import Listed, base_url, list_models, named
from hwledger.library.lmstudio.store import match
from hwledger.library.ollama.fields import whole

PREFIX: Final = "lmstudio:"
_ENGINES: Final = {"gguf": "llama.cpp", "mlx": "mlx"}


def deployment(ref: str, access: Access) -> Deployment | None:
    """Return how LM Studio runs the model that ``lmstudio:NAME`` names; ``None``: no such reference.

    A server that does not answer, or that has the model not in memory, is no error: a note says it.

    Raises:
        UsageError: LMSTUDIO_BASE_URL is no address.
    """
    if not ref.startswith(PREFIX):
        return None
    name = ref.removeprefix(PREFIX)
    url = base_url()
    try:
        listed = list_models(access)
    except (UnreachableError, InputError):
        return Deployment(
            model=ref, program="LM Studio", notes=(f"no LM Studio at {url} says how it is run",)
        )
    model = named(listed, name) or _by_file(listed, name)
    if model is None or not model.loaded:
        note = "LM Studio does not have it in memory, so it is planned with usual settings"
        return Deployment(model=ref, program="LM Studio", notes=(note,))
    return _deployment(ref, model)


def _deployment(ref: str, model: Listed) -> Deployment:
    engine = _ENGINES.get(model.format)
    return Deployment(
        model=ref, program="LM Studio", engine=engine,
        context=whole(model.config.get("context_length")) or None,
        options=_options(model) if engine == "llama.cpp" else {}, notes=_notes(model),
    )  # fmt: skip


def _by_file(listed: list[Listed], name: str) -> Listed | None:
    """Return the listed model whose file on this machine ``name`` is."""
    found = match(name)
    return next((model for model in listed if found and found[0] in match(model.key)), None)


def _options(model: Listed) -> dict[str, str]:
    """Return the options of llama.cpp; requests in parallel share one cache in LM Studio."""
    config, found = model.config, {}
    if batch := whole(config.get("eval_batch_size")):
        found["n_batch"] = str(batch)
    if isinstance(flash := config.get("flash_attention"), bool):
        found["flash_attn"] = "on" if flash else "off"
    if config.get("offload_kv_cache_to_gpu") is False:
        found["no_kv_offload"] = "on"
    context, parallel = whole(config.get("context_length")), whole(config.get("parallel")) or 1
    if context and parallel > 1:
        found |= {"n_ctx": str(context), "n_parallel": str(parallel), "kv_unified": "on"}
    return found


def _notes(model: Listed) -> tuple[str, ...]:
    experts = whole(model.config.get("num_experts"))
    said = (
        f"LM Studio uses {experts} experts a token of this model, which changes no memory" if experts else ""
    )
    return (said,) if said else ()
