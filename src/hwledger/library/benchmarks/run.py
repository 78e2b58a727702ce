"""One measured run, whatever program printed it."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

LEAST_RATE: Final = 1e-3
MOST_RATE: Final = 1e7
"""Tokens per second between which a measured speed can lie; beyond them a file is wrong."""


def possible(rate: float) -> bool:
    """Return whether a rate of tokens, or a number of seconds, can have been measured."""
    return isfinite(rate) and LEAST_RATE <= rate <= MOST_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRun:
    """What a benchmark program measured, as far as it says.

    Attributes:
        engine: ``llama.cpp``, ``vllm`` …
        version: build or version; empty where not stated.
        model: model file, name or description; empty where not stated.
        weights: what is said of the quantisation, in the program's words (``llama 7B Q4_K - Medium``).
        parameters, size_bytes: of the model; ``None`` where not stated.
        device: name of the device; empty where not stated.
        backend: what computed (``CUDA``); empty where not stated.
        options: options of the run, by the engine's own names.
        prompt_tokens, output_tokens, cached_tokens: of one request; 0 where the run had none.
        concurrency: requests at once.
        requests_per_second: arrival rate; ``None`` where ``concurrency`` users asked again at once.
        prefill, decode: tokens per second of one request; ``None`` where not measured.
        ttft_seconds: mean time to the first token; ``None`` where not measured.
        source: file and row, for people.
    """

    engine: str
    version: str = ""
    model: str = ""
    weights: str = ""
    parameters: float | None = None
    size_bytes: float | None = None
    device: str = ""
    backend: str = ""
    options: tuple[tuple[str, str], ...] = ()
    prompt_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    concurrency: int = 1
    requests_per_second: float | None = None
    prefill: float | None = None
    decode: float | None = None
    ttft_seconds: float | None = None
    source: str = ""
