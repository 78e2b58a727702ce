"""Events to append, and strategies that make any."""

from typing import Any

from hypothesis import strategies as st

from hwledger.ledger.event import Event, new_id

FIRST_MOMENT = 1_764_061_200_000_000
"""2025-11-25T09:00:00Z in microseconds."""


def event(number: int, subject: str = "host/a", kind: str = "fleet.host.online.v1", **data: Any) -> Event:
    """Return the event of a number: the same number, the same event."""
    moment = FIRST_MOMENT + number * 1000
    identity = new_id(moment, number.to_bytes(10, "big"))
    return Event(identity, "spiffe://test/agent/a", kind, subject, moment, {"host": "a", "n": number, **data})


def events(count: int, first: int = 0) -> list[Event]:
    """Return so many events with consecutive numbers."""
    return [event(first + number) for number in range(count)]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)
WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
TIMES = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    """Draw an event with any particulars and any optional attribute."""
    optional = {
        name: draw(st.none() | strategy)
        for name, strategy in {
            "actor": TEXT, "cause": TEXT, "trace": TEXT, "clock_offset_ms": st.integers(-(1 << 63), 1 << 62),
        }.items()
    }  # fmt: skip
    boot = draw(st.none() | TEXT)
    return Event(
        new_id(draw(st.integers(0, 1 << 50)), draw(st.binary(min_size=10, max_size=10))),
        draw(WORDS),
        f"fleet.{draw(st.from_regex('[a-z][a-z0-9_]{0,8}', fullmatch=True))}.v{draw(st.integers(1, 9))}",
        draw(WORDS),
        draw(TIMES),
        draw(OBJECTS),
        boot=boot,
        boot_seq=None if boot is None else draw(st.none() | st.integers(0, 1 << 40)),
        extensions=draw(st.dictionaries(st.from_regex("x[a-z0-9]{1,8}", fullmatch=True), TEXT, max_size=2)),
        **optional,
    )
