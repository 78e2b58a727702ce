"""The hash chain."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import AlteredError
from hwledger.ledger.chain import GENESIS, Entry, Head, entries, follow

pytestmark = pytest.mark.requirement("FR-LEDGER-CHAIN")
BODIES = st.lists(st.binary(max_size=40), min_size=1, max_size=20, unique=True)


def test_golden_chain() -> None:
    """Two bodies give these hashes in every version, by the formula and written out."""
    first, second = entries(Head(), [b"{}", b"[]"])
    leaf = sha256(b"\0{}").digest()
    assert first == Entry(1, b"{}", leaf, sha256(b"hl1" + bytes(7) + b"\x01" + GENESIS + leaf).digest())
    assert second.chain.hex() == "3c93ae5b216614eadb06b3573555213b1c170f0e286ff1458195287782d3d40e"


@given(BODIES, st.integers(0, 19))
def test_pages_follow_on_each_other(bodies: list[bytes], cut: int) -> None:
    """Checking page by page and appending page by page give the same head as all at once."""
    whole = entries(Head(), bodies)
    middle = follow(Head(), whole[:cut])
    assert follow(middle, whole[cut:]) == Head(len(bodies), whole[-1].chain)
    assert entries(middle, bodies[cut:]) == whole[cut:]


@given(BODIES, st.integers(0, 1 << 30), st.sampled_from(["seq", "body", "leaf", "chain"]))
def test_any_changed_bit_is_found_where_it_is(bodies: list[bytes], bit: int, name: str) -> None:
    """A flipped bit in sequence, body, leaf or chain is found at its own event."""
    made = entries(Head(), bodies)
    at = bit % len(made)
    old = made[at]
    if name == "seq":
        made[at] = replace(old, seq=old.seq ^ 1 << bit % 40)
    else:
        raw = bytearray(getattr(old, name) or b"\0")
        raw[bit % len(raw)] ^= 1 << bit % 8
        made[at] = replace(old, **{name: bytes(raw)})
    with pytest.raises(AlteredError) as caught:
        follow(Head(), made)
    assert caught.value.seq == at + 1


@given(BODIES, st.data())
def test_deleted_and_swapped_events_are_found(bodies: list[bytes], data: st.DataObject) -> None:
    """Without an event, or with two or their contents exchanged, the chain breaks at the first."""
    made = entries(Head(), [*bodies, b"last"])
    at = data.draw(st.integers(0, len(made) - 2))
    other = data.draw(st.integers(at + 1, len(made) - 1))
    swapped = list(made)
    swapped[at], swapped[other] = made[other], made[at]
    renumbered = [replace(entry, seq=number) for number, entry in enumerate(swapped, 1)]
    for wrong in (made[:at] + made[at + 1 :], swapped, renumbered):
        with pytest.raises(AlteredError) as caught:
            follow(Head(), wrong)
        assert caught.value.seq == at + 1
