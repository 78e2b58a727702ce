"""Which graph styles a build of llama.cpp may use."""

from typing import Final

from hwledger.planner.engines.llama_cpp.compute.rules import Style

LAST_OLDEST: Final = 7600
"""Builds up to here have one hidden vector on the host (logs of 2024 and 2025; llama.cpp PR 18550)."""

LAST_EARLY: Final = 8211
"""Last build whose log shows an f32 mask with flash attention."""

FIRST_CLASSIC: Final = 9496
"""First build whose log shows an f16 mask with flash attention."""

LAST_CLASSIC: Final = 11063
"""Last build where libllama's own planner was seen to follow the classic style."""

FIRST_MIXED: Final = 11549
"""First build where libllama's own planner was seen to follow the mixed style."""


def styles_of(build: int | None) -> tuple[Style, ...]:
    """Return the styles that a build may use, the one to plan with first; ``None``: the newest.

    Between two builds that were seen either style may hold, since the change was not pinned down: the
    larger one is planned with and the interval spans both.
    """
    if build is None or build >= FIRST_MIXED:
        return (Style.MIXED,)
    if build > LAST_CLASSIC:
        return (Style.MIXED, Style.CLASSIC)
    if build >= FIRST_CLASSIC:
        return (Style.CLASSIC,)
    if build > LAST_EARLY:
        return (Style.EARLY, Style.CLASSIC)
    return (Style.EARLY,) if build > LAST_OLDEST else (Style.OLDEST,)
