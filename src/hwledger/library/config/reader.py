"""Config: one config.json as families read it, with defaults, aliases, checks and provenance."""

import math
from collections.abc import Mapping
from typing import Any

from hwledger.errors import MalformedError
from hwledger.library.config.defaults import ORIGIN, ClassDefaults, class_defaults
from hwledger.model.spec import Fact

_LARGEST = 1 << 40
MAX_LAYERS = 4096


class Config:
    """A (nested) config whose every read is checked and recorded.

    A key is looked up under each given name, then under the family's own alias, then among the
    class defaults of transformers. An explicit ``null`` counts as given where ``None`` means
    something, and as absent elsewhere.

    Attributes:
        raw: the JSON object.
        model_type: its ``model_type``; empty where it has none.
        facts: what was read, by first name, with its origin; shared with nested configs.
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        where: str = "config.json",
        *,
        path: str = "",
        model_type: str | None = None,
        facts: dict[str, Fact] | None = None,
    ) -> None:
        if not isinstance(raw, Mapping):
            raise MalformedError(f"{where}: {path or 'the content'} is no JSON object")
        self.raw = raw
        self.where = where
        self.path = path
        self.model_type = str(raw.get("model_type") or model_type or "")
        self.facts = facts if facts is not None else {}
        self.defaults = class_defaults(self.model_type) or ClassDefaults()

    @property
    def known(self) -> bool:
        """Whether transformers knows the ``model_type``."""
        return class_defaults(self.model_type) is not None

    def nested(self, *keys: str) -> "Config | None":
        """Return the first nested config present under ``keys``, or ``None``."""
        for key in keys:
            raw = self.raw.get(key)
            if isinstance(raw, Mapping):
                kind = self.defaults.nested.get(key)
                return Config(raw, self.where, path=f"{self.path}{key}.", model_type=kind, facts=self.facts)
        return None

    def has(self, key: str) -> bool:
        """Whether the file itself states ``key`` with a value other than null."""
        return self.raw.get(key) is not None

    def value(self, *keys: str, default: Any = None) -> Any:
        """Return the value of the first key that is stated, aliased or defaulted; else ``default``."""
        for key in self._spellings(keys):
            if self.raw.get(key) is not None:
                return self._note(keys[0], self.raw[key], f"{self.where}: {self.path}{key}")
        for key in self._spellings(keys):
            if key in self.raw:  # an explicit null switches a default off
                return self._note(keys[0], default, f"{self.where}: {self.path}{key} is null")
        for key in self._spellings(keys):
            if key in self.defaults.values:
                return self._note(keys[0], self.defaults.values[key], ORIGIN)
        return default

    def integer(self, *keys: str, default: int | None = None, least: int = 0) -> int:
        """Return a whole number.

        Raises:
            MalformedError: it is absent and has no default, is no whole number, or is out of range.
        """
        value = self.optional_integer(*keys, default=default, least=least)
        if value is None:
            raise MalformedError(f"{self.where}: {self.path}{keys[0]} is missing and has no default")
        return value

    def optional_integer(self, *keys: str, default: int | None = None, least: int = 0) -> int | None:
        """Return a whole number, or ``None`` where it is absent."""
        value = self.value(*keys, default=default)
        if value is None:
            return None
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _LARGEST:
            raise self.unusable(keys[0], value, f"a whole number from {least} to 2**40")
        return value

    def number(self, *keys: str, default: float) -> float:
        """Return a finite number."""
        value = self.value(*keys, default=default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.unusable(keys[0], value, "a finite number")
        return value

    def flag(self, *keys: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.value(*keys, default=default)
        if not isinstance(value, (bool, int)):
            raise self.unusable(keys[0], value, "true or false")
        return bool(value)

    def text(self, *keys: str, default: str = "") -> str:
        """Return a string."""
        value = self.value(*keys, default=default)
        if not isinstance(value, str):
            raise self.unusable(keys[0], value, "a string")
        return value

    def sequence(self, *keys: str, length: int | None = None) -> list[Any] | None:
        """Return a list, or ``None``; ``length`` is how many entries it must have at least."""
        value = self.value(*keys)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.unusable(keys[0], value, "a list")
        if length is not None and len(value) < length:
            raise self.unusable(keys[0], f"{len(value)} entries", f"{length} entries")
        return value

    def layer_count(self, *keys: str) -> int:
        """Return the number of layers: at least 1, at most 4096."""
        count = self.integer(*(keys or ("num_hidden_layers", "n_layer", "n_layers", "num_layers")), least=1)
        if count > MAX_LAYERS:
            raise self.unusable("num_hidden_layers", count, f"at most {MAX_LAYERS} layers")
        return count

    def derived(self, name: str, value: Any, how: str) -> Any:
        """Record a value that was computed from others, and return it."""
        return self._note(name, value, f"derived: {how}")

    def unusable(self, key: str, value: object, wanted: str) -> MalformedError:
        """Return the error for a value that cannot be used."""
        shown = repr(value)
        shown = shown if len(shown) < 60 else shown[:57] + "..."  # noqa: PLR2004 - fits a line
        return MalformedError(f"{self.where}: {self.path}{key} is {shown}; it must be {wanted}")

    def _spellings(self, keys: tuple[str, ...]) -> list[str]:
        aliases = [self.defaults.aliases[key] for key in keys if key in self.defaults.aliases]
        return [*aliases, *keys]

    def _note(self, name: str, value: Any, origin: str) -> Any:
        self.facts[f"{self.path}{name}"] = Fact(value, origin)
        return value
