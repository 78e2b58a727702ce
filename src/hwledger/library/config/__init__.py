"""config.json → ModelSpec."""

from hwledger.library.config.spec import read_config

__all__ = ["read_config"]
