"""Events of the server carry its name, its clock and what their type demands."""

from pathlib import Path

import pytest

from hwledger.errors import MalformedError, UnknownOptionError
from hwledger.fleet.context import Fleet
from hwledger.ledger.memory import MemoryStore
from support.events import FIRST_MOMENT

pytestmark = pytest.mark.requirement("FR-FLEET-EVENTS")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return a fleet whose clock stands still."""
    return Fleet(MemoryStore(), tmp_path, "example.org", lambda: FIRST_MOMENT, bytes)


def test_an_event_of_the_server(fleet: Fleet) -> None:
    """It says which component speaks, on whose behalf, and which event led to it."""
    made = fleet.event(
        "host.online", "host/a", {"host": "a"}, component="liveness", actor="user:anna", cause="x"
    )
    assert made.type == "fleet.host.online.v1"
    assert made.source == "spiffe://example.org/server/liveness"
    assert (made.actor, made.cause, made.time_microseconds) == ("user:anna", "x", FIRST_MOMENT)
    (receipt,) = fleet.store.append([made])
    assert receipt.seq == 1


def test_what_a_type_demands_is_demanded(fleet: Fleet) -> None:
    """Data that lacks something, and a type that nobody knows, are faults of the caller."""
    with pytest.raises(MalformedError, match="needs 'host'"):
        fleet.event("host.online", "host/a", {})
    with pytest.raises(UnknownOptionError, match=r"host\.onlin'"):
        fleet.event("host.onlin", "host/a", {"host": "a"})
