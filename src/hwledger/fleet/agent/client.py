"""The agent's end of the wire: one connection that stays open, JSON, packed where it is long."""

import gzip
import random
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import orjson

from hwledger.errors import UnreachableError

LARGEST_ANSWER: Final = 1 << 20
LONGEST_BACK_OFF_SECONDS: Final = 60.0
PACKED_ABOVE: Final = 512
_SECONDS: Final = 20.0
_GONE: Final = frozenset({401, 403})


class RefusedError(UnreachableError):
    """The server answers and says no.

    Attributes:
        status: of HTTP.
        final: what was sent will never be taken; else the same may be sent again later.
        denied: it is the host that is refused, whatever it sends.
    """

    def __init__(self, message: str, status: int, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.denied = status in _GONE
        self.final = 400 <= status < 500 and status not in {401, 404, 408, 425, 426, 429}  # noqa: PLR2004 - faults of who asks


class Client:
    """Requests to the agents' listener of one server.

    Args:
        base: ``https://host:port``.
        context: with the certificate of this host; ``None`` for plain HTTP, in tests.
        headers: sent with each request.
        seconds: to wait for an answer; a long poll waits longer.
    """

    def __init__(
        self,
        base: str,
        context: ssl.SSLContext | None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._base, self._seconds = base, seconds
        self._client = httpx2.Client(
            base_url=base,
            verify=context if context is not None else True,
            trust_env=False,
            timeout=seconds,
            limits=httpx2.Limits(max_connections=1, keepalive_expiry=300),
        )
        self._client.headers = httpx2.Headers({"user-agent": "hwledger", **(headers or {})})

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def post(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message; return the answer.

        Raises:
            RefusedError: the server says no.
            UnreachableError: it does not answer, or not usefully.
        """
        body = orjson.dumps(message)
        return self.post_packed(path, gzip.compress(body, 6)) if len(body) > PACKED_ABOVE else self._ask(
            "POST", path, body, {"content-type": "application/json"}, self._seconds
        )  # fmt: skip

    def post_packed(self, path: str, body: bytes) -> dict[str, Any]:
        """Send a body that is packed with gzip; otherwise as ``post``."""
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        return self._ask("POST", path, body, headers, self._seconds)

    def get(self, path: str, wait_seconds: float = 0) -> dict[str, Any]:
        """Return the answer to a question that the server may think about; otherwise as ``post``."""
        return self._ask("GET", path, b"", {}, self._seconds + wait_seconds)

    def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> dict[str, Any]:
        try:
            with self._client.stream(method, path, content=body, headers=headers, timeout=seconds) as answer:
                raw = self._read(answer)
                status = answer.status_code
        except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
            what = str(error) or type(error).__name__
            raise UnreachableError(f"{self._base} does not answer ({what}); it is tried again") from None
        return _understood(self._base, status, raw)

    def _read(self, answer: httpx2.Response) -> bytes:
        found = bytearray()
        for part in answer.iter_bytes():
            found += part
            if len(found) > LARGEST_ANSWER:
                raise UnreachableError(f"{self._base} answers with more than {LARGEST_ANSWER} bytes")
        return bytes(found)


def _understood(base: str, status: int, raw: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except ValueError:
        found = None
    if 200 <= status < 300 and isinstance(found, dict):  # noqa: PLR2004 - success
        return found
    if 200 <= status < 300:  # noqa: PLR2004 - success
        raise UnreachableError(f"{base} answers with no JSON object; is it a server of hwledger?")
    detail = found.get("detail") if isinstance(found, dict) else None
    said = str(detail)[:300] if detail else f"status {status}"
    raise RefusedError(f"{base} says no: {said}", status, said)


class BackOff:
    """How long to wait before the next try: any time up to a limit that doubles, and never over a minute.

    Full jitter: a thousand agents whose server came back do not all come at once.
    """

    def __init__(self, chance: random.Random, most: float = LONGEST_BACK_OFF_SECONDS) -> None:
        self._chance, self._most, self._limit = chance, most, 1.0

    def failed(self) -> float:
        """Return how many seconds to wait after one more failure."""
        self._limit = min(self._most, 2 * self._limit)
        return self._chance.uniform(0, self._limit)

    def refused(self) -> float:
        """Return how many seconds to wait where the host itself is refused: about a minute."""
        return self._chance.uniform(self._most / 2, self._most)

    def succeeded(self) -> None:
        """Begin anew."""
        self._limit = 1.0
