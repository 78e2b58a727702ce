"""What a server answers, asked for carefully and taken for hostile."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hwledger.errors import (
    AmbiguousError,
    DeniedError,
    HwledgerError,
    MalformedError,
    MissingError,
    OfflineError,
    UnreachableError,
)
from hwledger.library.json_file import parse_json

if TYPE_CHECKING:
    from httpx2 import Response

    from hwledger.library.net.http import Http

KEY_VARIABLE: Final = "HWLEDGER_SERVER_KEY"
LARGEST: Final = 4 << 20
LARGEST_NUMBER: Final = 1 << 50
LONGEST_TEXT: Final = 1000


class Server:
    """One server, asked path by path; each path once.

    Attributes:
        address: scheme, host and port.
        wanted: model that the user named, where the server has several.
        has_key: a key is shown to it.
        asked: paths that were asked, in order.
        lost: paths that got no answer although earlier ones did.
    """

    def __init__(
        self, http: "Http", address: str, wanted: str | None = None, *, has_key: bool = False
    ) -> None:
        self.address = address
        self.wanted = wanted
        self.has_key = has_key
        self.asked: list[str] = []
        self.lost: list[str] = []
        self._http = http
        self._kept: dict[str, Any] = {}

    def json(self, path: str) -> dict[str, Any]:
        """Return the JSON object at ``path``; empty where the server has none there.

        Raises:
            DeniedError: it wants a key.
            UnreachableError: it does not answer at all.
        """
        found = self.value(path)
        return found if isinstance(found, dict) else {}

    def value(self, path: str) -> Any:
        """Return the JSON value at ``path``; ``None`` where the server has none there.

        Raises:
            DeniedError, UnreachableError: as ``json``.
        """
        if path not in self._kept:
            self._kept[path] = self._parsed(path)
        return self._kept[path]

    def forget(self, path: str) -> None:
        """Let ``path`` be asked anew."""
        self._kept.pop(path, None)

    def text(self, path: str) -> str:
        """Return the text at ``path``; empty where the server has none there.

        Raises:
            DeniedError, UnreachableError: as ``json``.
        """
        if path not in self._kept:
            self._kept[path] = self._ask(path)
        found = self._kept[path]
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else ""

    def _parsed(self, path: str) -> Any:
        found = self._ask(path)
        try:
            return None if found is None else parse_json(found, f"{self.address}{path}")
        except MalformedError:
            return None

    def _ask(self, path: str) -> bytes | None:
        self.asked.append(path)
        try:
            return self._http.fetch(f"{self.address}{path}", limit=LARGEST, explain=_nothing_there)
        except DeniedError:
            raise DeniedError(self._wants_key()) from None
        except OfflineError:
            raise
        except MissingError:
            return None
        except UnreachableError:
            if len(self.asked) == 1:
                raise
            self.lost.append(path)
            return None

    def _wants_key(self) -> str:
        if self.has_key:
            return f"{self.address} refuses the key in {KEY_VARIABLE}; is it the one of this server?"
        return f"{self.address} wants a key: set {KEY_VARIABLE} to the one that the server was started with"


def _nothing_there(response: "Response") -> HwledgerError | None:
    """Take every refusal (405, 500, 501) but that of a right for "nothing there"."""
    if response.status_code in {401, 403, 407}:
        return None
    return MissingError(f"the server answers {response.status_code}")


def text_of(found: Mapping[str, Any], key: str) -> str | None:
    """Return a printable text of sensible length, or ``None``."""
    value = found.get(key)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_TEXT:
        return None
    return value.strip() if value.isprintable() else None


def whole_of(found: Mapping[str, Any], key: str, least: int = 1) -> int | None:
    """Return a whole number within reason, also where it is written as text, or ``None``."""
    value = found.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:  # noqa: PLR2004
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value <= LARGEST_NUMBER else None


def objects_of(found: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects in a list, at most a thousand; everything else is left out."""
    value = found.get(key)
    return [item for item in value[:1000] if isinstance(item, dict)] if isinstance(value, list) else []


def object_of(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object, empty where there is none."""
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def owners(server: Server) -> set[str]:
    """Return what ``/v1/models`` calls the owners of its models."""
    return {text_of(item, "owned_by") or "" for item in objects_of(server.json("/v1/models"), "data")}


def base_card(server: Server) -> dict[str, Any]:
    """Return what ``/v1/models`` says of the one model that is served; adapters and second names aside.

    Raises:
        AmbiguousError: several models are served and none of them was named.
        MissingError: there is no model of the name that was asked for.
    """
    cards = objects_of(server.json("/v1/models"), "data")
    bases = [card for card in cards if not text_of(card, "parent")]
    if server.wanted is not None:
        found = next((card for card in bases if text_of(card, "id") == server.wanted), None)
        if found is None:
            raise MissingError(f"{server.address} serves no model called {server.wanted[:200]!r}")
        return found
    models = {text_of(card, "root") or text_of(card, "id") or "": card for card in reversed(bases)}
    if len(models) > 1:
        names = [text_of(card, "id") or "" for card in bases[:20]]
        raise AmbiguousError(server.address, [f"{server.address}/?model={quote(name)}" for name in names])
    return bases[0] if bases else {}


def told_nothing(engine: str, server: Server) -> HwledgerError:
    """Return the error of an engine that is recognised and does not say what it runs."""
    return MalformedError(
        f"{server.address} is {engine} and does not say which model it runs; give the model itself"
    )
