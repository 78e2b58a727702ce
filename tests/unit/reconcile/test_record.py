"""A reconciliation as an event keeps it: whole numbers alone, and nothing that was judged changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import MalformedError
from hwledger.ledger.canonical import canonical, parsed
from hwledger.planner.memory import Basis
from hwledger.reconcile.record import read_record, recorded
from hwledger.reconcile.term import Account, Expected, Part, Quality, Reconciliation, Seen, Term, Unknown
from hwledger.telemetry.quantity import Unit

pytestmark = pytest.mark.requirement("FR-REC-RECORD")
UNITS = st.sampled_from([Unit.BYTES, Unit.TOKENS, Unit.COUNT, Unit.TOKENS_PER_SECOND])
NUMBERS = st.floats(0, 1e14, allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
UNKNOWN = st.builds(Unknown, TEXTS)


@st.composite
def expected(draw: st.DrawFn) -> Expected:
    """Draw a planned figure."""
    low, value, high = sorted(draw(st.tuples(NUMBERS, NUMBERS, NUMBERS)))
    return Expected(value, low, high, draw(st.sampled_from(Basis)), draw(TEXTS))


SEEN = st.builds(Seen, NUMBERS, st.sampled_from(Quality), TEXTS, st.floats(0, 1e4))
TERMS = st.builds(Term, TEXTS, UNITS, expected() | UNKNOWN, SEEN | UNKNOWN)
PARTS = st.builds(Part, TEXTS, TEXTS, SEEN)
ACCOUNTS = st.builds(Account, TEXTS, SEEN | UNKNOWN, st.lists(PARTS, max_size=3).map(tuple), TEXTS)
FOUND = st.builds(
    Reconciliation, model=TEXTS, engine=TEXTS, planned_as=TEXTS, planned_version=TEXTS, seen_version=TEXTS,
    terms=st.lists(TERMS, max_size=5).map(tuple), accounts=st.lists(ACCOUNTS, max_size=2).map(tuple),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
)  # fmt: skip


@given(FOUND)
def test_what_is_kept_is_what_was_found(found: Reconciliation) -> None:
    """Through the canonical form and back: names, qualities and reasons are the same, figures to a digit."""
    back = read_record(parsed(canonical(recorded(found))))
    assert (back.model, back.engine, back.notes) == (found.model, found.engine, found.notes)
    assert [account.name for account in back.accounts] == [account.name for account in found.accounts]
    for one, other in zip(found.terms, back.terms, strict=True):
        assert (one.name, one.unit) == (other.name, other.unit)
        step = 0.001 if one.unit is Unit.TOKENS_PER_SECOND else 1.0
        for here, there in ((one.expected, other.expected), (one.seen, other.seen)):
            if isinstance(here, Unknown):
                assert here == there
            else:
                assert not isinstance(there, Unknown)
                assert there.value == pytest.approx(here.value, abs=step, rel=1e-12)


@given(FOUND)
def test_what_was_inside_stays_inside(found: Reconciliation) -> None:
    """Ends and digits are rounded outwards: no verdict of as planned becomes one of outside."""
    back = read_record(recorded(found))
    for one, other in zip(found.terms, back.terms, strict=True):
        assert not (one.inside is True and other.inside is False)
        assert (one.inside is None) is (other.inside is None)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"model": "m", "engine": "e", "planned_as": "e", "planned_version": "1", "terms": 3},
        {"model": "m", "engine": "e", "planned_as": "e", "planned_version": "1", "notes": [], "accounts": [],
         "terms": [{"name": "weights", "unit": "bushels", "expected": {}, "seen": {}}]},
        {"model": "m", "engine": "e", "planned_as": "e", "planned_version": "1", "notes": [], "terms": [],
         "accounts": [{"name": "a", "whole": {"why": ""}, "parts": [{"name": "b"}], "meaning": ""}]},
    ],
)  # fmt: skip
def test_what_holds_none_is_refused(data: dict[str, object]) -> None:
    """Another version's or a stranger's event is one sentence."""
    with pytest.raises(MalformedError, match="holds no reconciliation"):
        read_record(data)
