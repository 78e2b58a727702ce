"""The JSON of a reconciliation keeps to its schema, whatever was planned, seen or not known."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hwledger.planner.memory import Basis
from hwledger.reconcile.document import SCHEMA, reconciliation_document
from hwledger.reconcile.term import Account, Expected, Part, Quality, Reconciliation, Seen, Term, Unknown
from hwledger.shipped import shipped_text
from hwledger.telemetry.quantity import Unit

pytestmark = pytest.mark.requirement("FR-RUN-RECONCILE")
VALIDATOR = Draft202012Validator(
    json.loads(shipped_text("hwledger.reconcile", "schemas/reconciliation-1.json"))
)
NUMBERS = st.floats(0, 1e15)
UNKNOWN = st.builds(Unknown, st.just("it is not told"))
SEEN = st.one_of(
    UNKNOWN, st.builds(Seen, NUMBERS, st.sampled_from(Quality), st.just("log"), st.floats(0, 1e6))
)
EXPECTED = st.one_of(
    UNKNOWN, st.builds(Expected, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(Basis), st.just("a rule"))
)
UNITS = st.sampled_from([Unit.BYTES, Unit.TOKENS, Unit.COUNT, Unit.TOKENS_PER_SECOND])
TERMS = st.builds(Term, st.just("weights"), UNITS, EXPECTED, SEEN)
PARTS = st.builds(Part, st.just("weights"), st.just("CPU"), SEEN.filter(lambda one: isinstance(one, Seen)))
ACCOUNTS = st.builds(
    Account, st.just("process memory"), SEEN, st.lists(PARTS, max_size=3).map(tuple), st.just("the rest")
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TERMS, max_size=4), st.lists(ACCOUNTS, max_size=2), st.sampled_from(["", "b1"]))
def test_every_reconciliation_keeps_to_its_schema(
    terms: list[Term], accounts: list[Account], version: str
) -> None:
    """Known or not, each side has its keys; the document is JSON without a number that JSON lacks."""
    found = Reconciliation(
        model="m", engine="sglang", planned_as="vllm", planned_version="0.33.0", seen_version=version,
        terms=tuple(terms), accounts=tuple(accounts), notes=("a note",),
    )  # fmt: skip
    document = json.loads(json.dumps(reconciliation_document(found), allow_nan=False))
    VALIDATOR.validate(document)
    assert document["schema"] == SCHEMA
    for term, told in zip(found.terms, document["terms"], strict=True):
        assert (told["difference"] is None) == (term.difference is None)
    for account, told in zip(found.accounts, document["accounts"], strict=True):
        assert (told["unexplained"] is None) == isinstance(account.whole, Unknown)


def test_the_schema_refuses_what_is_neither_known_nor_explained() -> None:
    """A null without a reason is no reconciliation."""
    found = Reconciliation(model="m", engine="e", planned_as="e", planned_version="1", seen_version="",
                           terms=(Term("weights", Unit.BYTES, Unknown("why"), Unknown("why")),))  # fmt: skip
    document = reconciliation_document(found)
    VALIDATOR.validate(document)
    document["terms"][0]["seen"] = {"value": None}
    assert not VALIDATOR.is_valid(document)
