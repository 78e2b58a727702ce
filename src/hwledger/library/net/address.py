"""Addresses of the servers that programs run: all their spellings, and which are on this machine."""

import ipaddress
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from hwledger.errors import UsageError
from hwledger.library.access import Access

_USUAL: Final = {"http": 80, "https": 443}
_ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens


def spelled_address(variable: str, said: str, port: int) -> str:
    """Return the address that a client asks, without a slash at its end.

    An address that a server listens on everywhere is asked on this machine; a scheme that is named brings its
    own port (ollama ``envconfig/config.go`` ``Host``).

    Args:
        variable: name of the variable, for the sentence.
        said: its value: ``host``, ``host:port``, ``:port``, ``http://…`` or nothing.
        port: the port where neither a port nor a scheme is named.

    Raises:
        UsageError: it is no address.
    """
    given = said.strip().strip("\"'").strip()
    scheme, named, rest = given.partition("://")
    scheme, rest = (scheme.lower(), rest) if named else ("http", given)
    authority, _, path = rest.partition("/")
    if authority.count(":") > 1 and "[" not in authority:  # a bare IPv6 address
        authority = f"[{authority}]"
    try:
        parts = urlsplit(f"{scheme}://{authority}")
        host, stated = parts.hostname or "", parts.port
    except ValueError:
        host, stated, scheme = "", None, ""
    if scheme not in _USUAL or any(c.isspace() or not c.isprintable() for c in given):
        raise UsageError(f"{variable} is {given[:100]!r}, which is no http address; write host:port")
    host = _ANYWHERE.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    tail = f"/{path.strip('/')}" if path.strip("/") else ""
    return f"{scheme}://{shown}:{stated or (_USUAL[scheme] if named else port)}{tail}"


def is_local(address: str) -> bool:
    """Whether a server's address is on this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reaching(access: Access, address: str) -> Access:
    """Return the access with which a program's server is asked: one on this machine is no network."""
    return replace(access, offline=False) if access.offline and is_local(address) else access
