"""The use cases of hosts, put together for the routes of the API."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select

from hwledger.fleet import commands, enrolment, hosts
from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.tokens import JOIN_TOKEN, token_of
from hwledger.fleet.wire.tokens import encoded
from hwledger.server.side import HostServices


def host_services(address: str, authorities: Authorities) -> HostServices:
    """Return the use cases of hosts.

    Args:
        address: ``host:port`` of the public listener, which join tokens name.
        authorities: that vouch for it.
    """
    return HostServices(
        hosts=hosts.hosts,
        host=hosts.host,
        approve=enrolment.approve,
        retire=enrolment.retire,
        ban=enrolment.ban,
        create_token=enrolment.create_token,
        tokens=join_tokens,
        issue=commands.issue,
        address=address,
        entrance=f"https://{address}#{encoded(authorities.server_authority.sha256)}",
    )


def join_tokens(fleet: Fleet) -> Sequence[dict[str, Any]]:
    """Return every join token that was made, the last first; none with its secret."""

    def found(connection: Connection) -> list[dict[str, Any]]:
        newest = select(JOIN_TOKEN.c.hash).order_by(JOIN_TOKEN.c.expires.desc(), JOIN_TOKEN.c.hash)
        states = (token_of(connection, token) for token in connection.execute(newest).scalars().all())
        return [asdict(one) for one in states if one is not None]

    return fleet.store.query(found)
