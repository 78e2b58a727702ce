"""Keys of what is kept: a chain of hashes over everything that the numbers depend on, and over the tokens.

Two prompts share a key exactly where they share engine, version, weights, types, settings and every token
up to there; the name of a model is in none of them, as other weights may come under the same name. Pure.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

FORMAT: Final = 1
"""Of what is kept, and of these keys; another one finds nothing that was kept before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the numbers in a cache depend on, beside the tokens.

    Attributes:
        engine: its name.
        engine_version: of all its parts that compute: ``mlx 0.32.4, mlx-lm 0.32.2``.
        weights: fingerprint of the content of the model's files.
        kv_type: number type of keys and values.
        block_tokens: tokens of a block.
        adapter: fingerprint of an adapter; empty for none.
        settings: everything else that the engine computes by: its device, its options.
    """

    engine: str
    engine_version: str
    weights: str
    kv_type: str
    block_tokens: int
    adapter: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def root(self) -> str:
        """Return the key that every chain begins with."""
        said = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()


def chain(scope: Scope, tokens: Sequence[int]) -> list[str]:
    """Return the key of each full block of a prompt; tokens beyond the last full block have none.

    Raises:
        ValueError: a token is no number of 32 bits.
    """
    key, found, size = scope.root(), [], scope.block_tokens
    for begin in range(0, len(tokens) - size + 1, size):
        block = tokens[begin : begin + size]
        try:
            packed = struct.pack(f"<{size}I", *block)
        except struct.error as error:
            raise ValueError(str(error)) from None
        key = hashlib.sha256(bytes.fromhex(key) + packed).hexdigest()
        found.append(key)
    return found
