"""Where a server listens: sockets, the names it is known by, and uvicorn as each listener needs it."""

import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn

from hwledger.errors import UsageError
from hwledger.fleet.wire.tokens import address_text
from hwledger.server.peer import PeerProtocol

LOOPBACK: Final = "127.0.0.1"
LOCAL_PORT: Final = 8470
GRACE_SECONDS: Final = 10
"""How long requests that are being answered may take when the server stops."""
KEEP_ALIVE_SECONDS: Final = 75
BACKLOG: Final = 2048
_ANYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - the names of it
_SOMEWHERE: Final = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))
"""Addresses that are nobody's (RFC 5737, RFC 3849): which of ours would be used is asked, nothing is sent."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a server is to listen.

    Attributes:
        host: the address of the two listeners with TLS.
        local_host: of the one without: this machine alone.
        local_port: of that; 0: any that is free.
        public_port: of the listener that anybody may ask; 0: any that is free.
        agents_port: of the listener of agents; 0: any that is free.
        names: by which others reach this machine, the best first; none: they are found out.
    """

    host: str = LOOPBACK
    local_host: str = LOOPBACK
    local_port: int = LOCAL_PORT
    public_port: int = LOCAL_PORT + 1
    agents_port: int = LOCAL_PORT + 2
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listening:
    """The sockets of a server, bound.

    Attributes:
        local: without TLS.
        public: with TLS.
        agents: with TLS on both sides.
        names: that its certificate is for; the first is the one to tell others.
    """

    local: socket.socket
    public: socket.socket
    agents: socket.socket
    names: tuple[str, ...]

    @property
    def local_address(self) -> str:
        """Return the address of the listener without TLS: ``http://127.0.0.1:8470``."""
        host, port, *_ = self.local.getsockname()
        return f"http://{address_text(host, port)}"

    @property
    def public_address(self) -> str:
        """Return ``host:port`` of the public listener, as others reach it."""
        return address_text(self.names[0], port_of(self.public))

    @property
    def agents_address(self) -> str:
        """Return ``host:port`` of the agents' listener, as others reach it."""
        return address_text(self.names[0], port_of(self.agents))


def port_of(listening: socket.socket) -> int:
    """Return the port of a socket."""
    return int(listening.getsockname()[1])


@contextmanager
def bound(places: Places) -> Iterator[Listening]:
    """Give the sockets of a server.

    Raises:
        UsageError: one would serve without TLS beyond this machine, or an address cannot be listened on.
    """
    if not is_loopback(places.local_host):
        raise UsageError(
            f"{places.local_host} is not this machine alone, and nothing is served without TLS there;"
            " use --host for the listeners with TLS"
        )
    with ExitStack() as stack:
        local, public, agents = (
            stack.enter_context(_bound(host, port, option))
            for host, port, option in (
                (places.local_host, places.local_port, "--port"),
                (places.host, places.public_port, "--public-port"),
                (places.host, places.agents_port, "--agents-port"),
            )
        )
        yield Listening(local, public, agents, names_of(places))


def _bound(host: str, port: int, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise UsageError(_why_not(host, port, option, error)) from None
    return listening


def _why_not(host: str, port: int, option: str, error: OSError) -> str:
    where = address_text(host, port)
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop what listens there, or give another {option}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{where} may not be listened on by this user; give another {option}, above 1023"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; give another --host"
    return f"{where} cannot be listened on ({error.strerror}); give another {option}"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_of(places: Places) -> tuple[str, ...]:
    """Return the names of a server's certificate, the one to tell others first."""
    found = [*places.names]
    if places.host in _ANYWHERE:
        found += [*_own_addresses(), socket.gethostname().lower().rstrip(".")]
    else:
        found.append(places.host)
    return tuple(dict.fromkeys([*filter(None, found), LOOPBACK, "localhost"]))


def _own_addresses() -> list[str]:
    """Return the addresses that this machine would speak to others from; none where it cannot."""
    found = []
    for somewhere, family in _SOMEWHERE:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            try:
                asked.connect((somewhere, 9))
                found.append(str(asked.getsockname()[0]))
            except OSError:
                continue
    return [one for one in found if not ipaddress.ip_address(one).is_link_local]


class Listener(uvicorn.Server):
    """A listener of several in one process: signals go to all of them, from one place."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def listener(app: Any, context: ssl.SSLContext | None = None) -> Listener:
    """Return a listener of an application; it is served with the sockets that it is given.

    Args:
        app: the application.
        context: of its TLS; ``None``: it speaks none.
    """
    tls: dict[str, Any] = {}
    if context is not None:
        tls["ssl_context_factory"] = lambda _config, _default: context
    config = uvicorn.Config(
        app, http=PeerProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
        date_header=True, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS, timeout_keep_alive=KEEP_ALIVE_SECONDS, backlog=BACKLOG,
        **tls,
    )  # fmt: skip
    return Listener(config)
