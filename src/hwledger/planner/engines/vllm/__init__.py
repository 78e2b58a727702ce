"""vLLM: blocks, groups, windows, states and the pool, per version."""

from hwledger.planner.engines.vllm.profile import profile

__all__ = ["profile"]
