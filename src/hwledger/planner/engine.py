"""The engine port: what every engine profile answers, and finding one by name."""

from collections.abc import Mapping
from functools import cache
from typing import Protocol, runtime_checkable

from hwledger.errors import UnknownOptionError
from hwledger.extensions import extensions
from hwledger.planner.memory import EngineMemory
from hwledger.planner.options import Option
from hwledger.planner.request import Request

ENTRY_POINTS = "hwledger.engines"


@runtime_checkable
class EngineProfile(Protocol):
    """One inference engine over a range of versions.

    Attributes:
        name: name as users write it (``llama.cpp``).
        newest: newest version that the rules were checked against; used where none is given.
        options: the engine's own options.
    """

    name: str
    newest: str
    options: Mapping[str, Option]

    def check_version(self, version: str) -> str:
        """Return the version in canonical form.

        Raises:
            UsageError: the text is no version of this engine, or older than the rules reach.
        """
        ...

    def memory(self, request: Request) -> EngineMemory:
        """Return the memory that the engine would take.

        Raises:
            UsageError: options contradict each other or the model.
        """
        ...


@cache
def engine_names() -> tuple[str, ...]:
    """Names of all installed engine profiles."""
    return tuple(sorted({point.name for point in extensions(ENTRY_POINTS)}))


@cache
def engine_profile(name: str) -> EngineProfile:
    """Return the profile called ``name``; ``llamacpp`` and ``llama-cpp`` find ``llama.cpp``.

    Raises:
        UnknownOptionError: no such engine.
    """
    wanted = _plain(name)
    for point in extensions(ENTRY_POINTS):
        if _plain(point.name) == wanted:
            profile = point.load()
            if isinstance(profile, EngineProfile):
                return profile
    raise UnknownOptionError("engine", name, engine_names())


def _plain(name: str) -> str:
    return name.lower().replace(".", "").replace("-", "").replace("_", "")
