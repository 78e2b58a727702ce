"""Every projection that the server of a fleet keeps; each follows from the events alone."""

from collections.abc import Sequence

from hwledger.fleet.commands import Commands
from hwledger.fleet.hosts import Hosts
from hwledger.fleet.reported import Reported
from hwledger.ledger.projections import Producers, Projection


def projections() -> Sequence[Projection]:
    """Return the projections, in the order in which they take in an event."""
    return (Producers(), Reported(), Hosts(), Commands())
