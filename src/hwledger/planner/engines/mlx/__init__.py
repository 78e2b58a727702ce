"""MLX (mlx-lm): caches that grow in steps of 256 tokens, rotating windows, quantised keys and values."""

from hwledger.planner.engines.mlx.profile import profile

__all__ = ["profile"]
