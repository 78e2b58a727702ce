"""Entering what a server says into the options of an engine profile."""

from typing import Any, Final

from hwledger.errors import HwledgerError
from hwledger.library.serving.replies import LARGEST_NUMBER
from hwledger.planner.engine import engine_profile
from hwledger.planner.engines.vllm.cache_types import cache_type

_UNSET: Final = frozenset({"", "None", "null", "auto", "default"})
_LONGEST: Final = 60


class Settings:
    """Options of one engine profile as they are read, and what did not become one.

    Attributes:
        options: by the profile's own names, as text.
        notes: sentences.
    """

    def __init__(self, engine: str) -> None:
        self.options: dict[str, str] = {}
        self.notes: list[str] = []
        self._known = engine_profile(engine).options

    def take(self, name: str, value: Any) -> None:
        """Set an option where the server states one that the profile can use; ``None`` states nothing."""
        text = _text(value)
        if text is None or text in _UNSET or name not in self._known:
            return
        try:
            if name == "kv_cache_dtype":
                text = text.lower().removesuffix("nuz").removesuffix("fn")
                cache_type(text)
            self._known[name].parse(text)
        except (ValueError, OverflowError, HwledgerError) as error:
            self.note(f"the server says {name}={text}, which is not planned: {error}")
            return
        self.options[name] = text

    def quantised(self, name: str | None) -> None:
        """Say how a server names the packing of its weights: the files' own, or done while loading."""
        if name and name not in _UNSET:
            self.note(
                f"the server names {name} as its quantisation: the sizes of the files are planned; where it"
                " packs them while loading, give --option quantization"
            )

    def note(self, text: str | None) -> None:
        """Add a sentence, once."""
        if text and text not in self.notes:
            self.notes.append(text)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return str(value) if abs(value) <= LARGEST_NUMBER else None
    if isinstance(value, float):
        return f"{value:g}" if abs(value) <= LARGEST_NUMBER else None
    if isinstance(value, str) and len(value) <= _LONGEST and value.isprintable():
        return value.strip().removeprefix("torch.")
    return None
