"""Ollama's server: where it is, and what it says, of which nothing is believed before it is checked."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from hwledger.errors import MalformedError, UsageError
from hwledger.library.ollama.fields import mapping, rows, text
from hwledger.library.ollama.reference import parse_name

if TYPE_CHECKING:
    from hwledger.library.net.http import Http

PORT: Final = 11434
LARGEST_PORT: Final = 65535
_USUAL: Final = {"http": 80, "https": 443}
_ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server listens


def base_url(said: str | None = None) -> str:
    """Return the address of the server, as ``OLLAMA_HOST`` (or ``said``) spells it.

    An address that a server listens on everywhere is asked on this machine; ports are 11434, or those of a
    scheme that is named (ollama ``envconfig/config.go`` ``Host``).

    Raises:
        UsageError: it is no address.
    """
    given = (os.environ.get("OLLAMA_HOST", "") if said is None else said).strip().strip("\"'").strip()
    scheme, named, rest = given.partition("://")
    scheme, rest = (scheme.lower(), rest) if named else ("http", given)
    authority, _, path = rest.partition("/")
    if authority.count(":") > 1 and "[" not in authority:  # a bare IPv6 address
        authority = f"[{authority}]"
    try:
        parts = urlsplit(f"{scheme}://{authority}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"OLLAMA_HOST is {given[:100]!r}, which is no address; write host:port") from None
    if scheme not in _USUAL or any(c.isspace() for c in authority):
        raise UsageError(f"OLLAMA_HOST is {given[:100]!r}, which is no http address; write host:port")
    host = _ANYWHERE.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    tail = f"/{path.rstrip('/')}" if path.strip("/") else ""
    return f"{scheme}://{shown}:{port or (_USUAL[scheme] if named else PORT)}{tail}"


class Server:
    """Ollama's server; every answer is checked for its shape, single fields are left to the readers.

    Attributes:
        url: its address.
    """

    def __init__(self, http: "Http", url: str) -> None:
        self.url = url
        self._http = http

    def version(self) -> str:
        """Return Ollama's version; empty where it does not say.

        Raises:
            UnreachableError: nobody answers.
            MalformedError: the answer is none of Ollama's.
        """
        return text(self._object("/api/version").get("version"))[:40]

    def tags(self) -> list[Mapping[str, Any]]:
        """Return what it says of every model that it keeps: ``name``, ``size``, ``digest``, ``details``.

        Raises:
            UnreachableError, MalformedError: as ``version``.
        """
        return self._models("/api/tags")

    def running(self) -> list[Mapping[str, Any]]:
        """Return what it says of every model in memory: ``size_vram``, ``context_length``.

        Raises:
            UnreachableError, MalformedError: as ``version``.
        """
        return self._models("/api/ps")

    def show(self, name: str, *, verbose: bool = False) -> Mapping[str, Any]:
        """Return what it says of one model: ``model_info``, ``tensors``, ``details``, ``parameters``.

        Args:
            name: of the model.
            verbose: arrays of more than 5 elements, too: vocabularies make that megabytes.

        Raises:
            MissingError: it has no such model.
            UnreachableError, MalformedError: as ``version``.
        """
        return self._object("/api/show", {"model": name} | ({"verbose": True} if verbose else {}))

    def _models(self, path: str) -> list[Mapping[str, Any]]:
        found = self._object(path).get("models")
        if found is not None and not isinstance(found, list):
            raise MalformedError(f"{self.url}{path} answers without a list of models; is this Ollama?")
        return rows(found)

    def _object(self, path: str, body: Any = None) -> Mapping[str, Any]:
        value = self._http.fetch_json(f"{self.url}{path}", body=body)
        if not isinstance(value, dict):
            raise MalformedError(f"{self.url}{path} answers with no JSON object; is this Ollama?")
        return mapping(value)


def row_of(listed: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the row of one model in a list of the server's; empty where it is not listed."""
    wanted = parse_name(name)
    for row in listed:
        known = parse_name(text(row.get("name")) or text(row.get("model")))
        if known and wanted and known.key == wanted.key:
            return row
    return {}
