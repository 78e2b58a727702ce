"""Ollama's server: where it is, and what it says, of which nothing is believed before it is checked."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import MalformedError
from hwledger.library.fields import mapping, rows, text
from hwledger.library.net.address import spelled_address
from hwledger.library.ollama.reference import parse_name

if TYPE_CHECKING:
    from hwledger.library.net.http import Http

PORT: Final = 11434
NOT_LISTED: Final = "not listed"
LONGEST_DIGEST: Final = 100


def base_url() -> str:
    """Return the address of the server, as ``OLLAMA_HOST`` spells it.

    Raises:
        UsageError: it is no address.
    """
    return spelled_address("OLLAMA_HOST", os.environ.get("OLLAMA_HOST", ""), PORT)


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


def digest_of(row: Mapping[str, Any]) -> str:
    """Return the digest that a row states of its model; that it is not listed counts as one, too.

    Empty where the server lists the model without a digest.
    """
    return text(row.get("digest"))[:LONGEST_DIGEST] if row else NOT_LISTED


def row_of(listed: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the row of one model in a list of the server's; empty where it is not listed."""
    wanted = parse_name(name)
    for row in listed:
        known = parse_name(text(row.get("name")) or text(row.get("model")))
        if known and wanted and known.key == wanted.key:
            return row
    return {}
