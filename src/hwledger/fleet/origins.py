"""Who may say what: what the fleet believes of its members is what its server wrote."""

import re
from typing import Final

from hwledger.ledger.event import Event

_SERVER: Final = re.compile(r"spiffe://[^/]+/server/[^/]+")


def is_of_server(event: Event) -> bool:
    """Return whether the server says it: agents are held to sources of their own when they send."""
    return bool(_SERVER.fullmatch(event.source))
