"""Every projection that the server of a fleet keeps; each follows from the events alone."""

from collections.abc import Sequence

from hwledger.fleet.commands import Commands
from hwledger.fleet.hosts import Hosts
from hwledger.fleet.identity_tables import Identities
from hwledger.fleet.once import Requests
from hwledger.fleet.reported import Reported
from hwledger.fleet.tokens import JoinTokens
from hwledger.fleet.users import Users
from hwledger.ledger.projections import Producers, Projection


def projections() -> Sequence[Projection]:
    """Return the projections, in the order in which they take in an event."""
    return (
        Producers(), Users(), Requests(), Reported(), JoinTokens(), Identities(), Hosts(), Commands(),
    )  # fmt: skip
