"""Which engines were measured, and how: that decides which of the two speed models answers."""

from typing import Final

SINGLE: Final = frozenset({"llama.cpp", "mlx"})
"""Engines whose speed is that of single requests."""
SERVED: Final = ("vllm", "sglang", "tensorrt-llm")
"""Engines whose speed is that of serving many."""


def serves(engine: str) -> bool:
    """Return whether an engine's speed is the serving model's to answer."""
    return engine in SERVED
