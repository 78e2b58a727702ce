"""How an agent is, from its folder alone: it may run or not."""

from typing import Any

from hwledger.fleet.agent.renewal import ends_of
from hwledger.fleet.agent.spool import waiting_in
from hwledger.fleet.agent.state import Home
from hwledger.fleet.agent.witness import Witness
from hwledger.ledger.event import time_text


def status_of(home: Home) -> dict[str, Any]:
    """Return who a host is, whether its agent runs and what waits (``hwledger.agent/1``).

    Raises:
        MissingError: it has joined no fleet.
        MalformedError: a file in its folder is damaged.
    """
    enrolment = home.enrolment()
    witness = Witness(home.folder, enrolment.checkpoint_key)
    return {
        "schema": "hwledger.agent/1",
        "host": enrolment.host,
        "name": enrolment.name,
        "trust_domain": enrolment.trust_domain,
        "server": enrolment.server,
        "running": home.is_running(),
        "trouble": home.trouble(),
        "not_after": time_text(ends_of(home.certificate())),
        "waiting": waiting_in(home.folder),
        "seen_events": witness.seen.size if witness.seen else None,
        "alarm": witness.alarm["reason"] if witness.alarm else "",
    }
