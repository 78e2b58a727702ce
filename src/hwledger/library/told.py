"""What a command or a server says, below what is given beside it."""

from collections.abc import Mapping, Sequence

from hwledger.library.deployment import Deployment
from hwledger.planner.engine import engine_profile

CONTEXT_OPTIONS = frozenset({"max_model_len", "n_ctx", "max_kv_size", "max_length", "max_cache_len"})
CONCURRENCY_OPTIONS = frozenset({"max_num_seqs", "n_parallel", "num_concurrent", "batch_size"})


def told_options(told: Deployment, given: Mapping[str, object] | Sequence[str], **knobs: object) -> list[str]:
    """Return the told options that nothing given here replaces, as ``KEY=VALUE``."""
    names: dict[str, str] = {}
    if told.engine:
        known = engine_profile(told.engine).options
        names = {alias: name for name, option in known.items() for alias in (name, *option.aliases)}
    replaced = {text.partition("=")[0].strip().lstrip("-").replace("-", "_") for text in as_texts(given)}
    replaced = {names.get(name, name) for name in replaced}
    if knobs["context"] is not None:
        replaced |= CONTEXT_OPTIONS
    if knobs["concurrency"] is not None:
        replaced |= CONCURRENCY_OPTIONS
    if knobs["kv_cache"] is not None:
        replaced |= {"kv_cache_dtype", "cache_type_k", "cache_type_v"}
    return [f"{key}={value}" for key, value in told.options.items() if key not in replaced]


def as_texts(options: Mapping[str, object] | Sequence[str]) -> list[str]:
    """Return options as ``KEY=VALUE``, however they were given."""
    if isinstance(options, Mapping):
        return [
            f"{key}={','.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
            for key, value in options.items()
        ]
    return list(options)
