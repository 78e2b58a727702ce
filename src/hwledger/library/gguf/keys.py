"""Typed look-ups in the metadata of one GGUF file, with llama.cpp's rule for scalars and per-layer arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from hwledger.errors import MalformedError

MOST = 1 << 32


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys ``<architecture>.…`` of one file.

    Attributes:
        metadata: all keys of the file.
        architecture: their prefix.
        source: name of the file, for sentences.
    """

    metadata: Mapping[str, object]
    architecture: str
    source: str

    def value(self, key: str) -> object:
        """Return the raw value, ``None`` where absent."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def number(self, key: str, default: int = 0) -> int:
        """Return a whole number; the first element of a per-layer array.

        Raises:
            MalformedError: the value is no whole number between 0 and 2**32.
        """
        value = self.value(key)
        if value is None:
            return default
        if is_list(value):
            return self._checked(key, value[0]) if len(value) else default
        return self._checked(key, value)

    def required(self, key: str) -> int:
        """Return a number of at least 1 that no model works without.

        Raises:
            MalformedError: it is absent or 0.
        """
        found = self.number(key)
        if found < 1:
            raise MalformedError(
                f"{self.source}: the key {self.architecture}.{key} is absent or 0, which no model works "
                "with; the file is incomplete, so get it again"
            )
        return found

    def per_layer(self, key: str, layers: int, default: int = 0) -> tuple[int, ...]:
        """Return one number per layer: a scalar holds for all of them.

        Raises:
            MalformedError: an array is shorter than the model has layers.
        """
        value = self.value(key)
        if not is_list(value):
            return (self.number(key, default),) * layers
        if len(value) < layers:
            raise MalformedError(
                f"{self.source}: {self.architecture}.{key} lists {len(value)} layers and the model has "
                f"{layers}; the file contradicts itself, so get it again"
            )
        return tuple(self._checked(key, item) for item in value[:layers])

    def has(self, key: str) -> bool:
        """Return whether the file states ``key``."""
        return self.value(key) is not None

    def is_array(self, key: str) -> bool:
        """Return whether the file lists ``key`` per layer."""
        return is_list(self.value(key))

    def _checked(self, key: str, value: object) -> int:
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or not 0 <= value < MOST:
            raise MalformedError(
                f"{self.source}: {self.architecture}.{key} is {str(value)[:40]!r} and must be a whole number "
                "from 0 to 2**32; the file is broken, so get it again"
            )
        return value


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether ``value`` is an array whose elements were kept."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
