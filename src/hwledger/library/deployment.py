"""A model as some program is told to run it: what a command line or a running server says."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model and the settings that it is run with.

    Attributes:
        model: reference for ``open_model`` (``Qwen/Qwen3-32B``, ``ollama:qwen3:8b``, a path, a URL).
        program: what runs it, in its own spelling (``vllm serve``, ``llama-server``, ``SGLang 0.5``).
        engine: name of the planner's engine profile; ``None``: by the model's format.
        engine_version: version of the engine where it is known.
        revision: branch, tag or commit of the model, where one is named.
        options: options of the engine profile by their own names, as text.
        concurrency: requests at once, where the program is told.
        context: tokens of one request, where the program is told outside ``options``.
        whole_context: it runs the model's whole context, as it does where it is told none.
        weights: type that the program packs the weights in while loading, where it does.
        kv_cache: number type of the KV cache, where it is no option.
        device: accelerators, as ``parse_devices`` reads them, where they are told.
        server: address of the server that said all this; empty where a command did.
        notes: what was read and does not enter the plan, in sentences.
    """

    model: str
    program: str
    engine: str | None = None
    engine_version: str | None = None
    revision: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    context: int | None = None
    whole_context: bool = False
    weights: str | None = None
    kv_cache: str | None = None
    device: str | None = None
    server: str = ""
    notes: tuple[str, ...] = ()
