"""transformers: dynamic, static and quantised caches, and prompts that are processed in one piece."""

from hwledger.planner.engines.transformers.profile import profile

__all__ = ["profile"]
