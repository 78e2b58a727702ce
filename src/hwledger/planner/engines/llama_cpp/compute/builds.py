"""Which graph styles a build of llama.cpp may use."""

from typing import Final

from hwledger.planner.engines.llama_cpp.compute.rules import Style

FIRST_CLASSIC: Final = 9500
"""First build whose mask is f16 with flash attention in all logs that were read."""

LAST_CLASSIC: Final = 11063
"""Last build where libllama's own planner was seen to follow the classic style."""

FIRST_MIXED: Final = 11549
"""First build where libllama's own planner was seen to follow the mixed style."""


def styles_of(build: int | None) -> tuple[Style, ...]:
    """Return the styles that a build may use, the one to plan with first; ``None``: the newest.

    Between b11063 and b11549 either may hold, since the change was not pinned down; the larger one
    is planned with and the interval spans both.
    """
    if build is None or build >= FIRST_MIXED:
        return (Style.MIXED,)
    if build > LAST_CLASSIC:
        return (Style.MIXED, Style.CLASSIC)
    return (Style.CLASSIC,) if build >= FIRST_CLASSIC else (Style.EARLY,)
