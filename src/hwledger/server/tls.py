"""TLS as the server speaks it: version 1.3 alone, without tickets; on the agents' port both sides show names.

A ticket lets a client come back after its certificate ran out without showing it, so none is given.
"""

import ssl
from collections.abc import Sequence

from hwledger.fleet.certificates import Authorities


def public_context(authorities: Authorities, names: Sequence[str]) -> ssl.SSLContext:
    """Return the context of the public listener: only the server shows a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    renew_server(context, authorities, names)
    return context


def agents_context(authorities: Authorities, names: Sequence[str]) -> ssl.SSLContext:
    """Return the context of the agents' listener: without a certificate of their authority nobody gets in."""
    context = public_context(authorities, names)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    trust_agents(context, authorities)
    return context


def renew_server(context: ssl.SSLContext, authorities: Authorities, names: Sequence[str]) -> None:
    """Put the server's certificate into a context, made anew when due; connections to come are shown it.

    To be called once a day or more often while the server runs; a new generation of authorities is made in
    time, too.
    """
    authorities.roll_when_due()
    context.load_cert_chain(authorities.server_chain(names))


def trust_agents(context: ssl.SSLContext, authorities: Authorities) -> None:
    """Let a context accept what the agents' authority signs; of a new generation, too, once it was made.

    What was trusted stays so until the server starts again: certificates of an older generation have run out
    by then, and each request is held to the certificates on record.
    """
    context.load_verify_locations(cadata=authorities.agents_trust())
