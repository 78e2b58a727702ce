"""Bodies of requests: how large they may be, packed and unpacked, and their fields."""

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from hwledger.errors import MalformedError, TooLargeError

LARGEST_SENT: Final = 1 << 18
"""Bytes of one request as it comes over the wire."""
LARGEST_INFLATED: Final = 1 << 20
"""Bytes of one request after it is unpacked."""
LARGEST_RATIO: Final = 100
"""How many times its size a request may unpack to; telemetry of zeros alone comes to 60."""
_GZIP: Final = 31
_BOOT: Final = re.compile(r"[0-9a-zA-Z-]{8,64}")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_LARGEST_NUMBER: Final = 1 << 62
_MICROSECONDS: Final = 1_000_000


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return what a body says.

    Args:
        body: as it came.
        encoding: its ``Content-Encoding``: ``gzip``, or none.

    Raises:
        TooLargeError: it is larger than it may be, packed or unpacked; nothing beyond the limit is unpacked.
        MalformedError: it is no whole gzip, or of another encoding.
    """
    if len(body) > LARGEST_SENT:
        raise TooLargeError(
            f"this request has {len(body)} bytes and may have {LARGEST_SENT}; send less at once"
        )
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise MalformedError("this request has another Content-Encoding than gzip; use gzip or none")
    most = min(LARGEST_INFLATED, LARGEST_RATIO * len(body))
    unpacker = zlib.decompressobj(_GZIP)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error:
        raise MalformedError("this request says that it is gzip and is not") from None
    if len(found) > most:
        raise TooLargeError(f"this request unpacks to more than {most} bytes; send less at once")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedError("this request is gzip that is cut off or goes on after its end")
    return found


def object_of(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        TooLargeError: it is larger than it may be.
        MalformedError: it is no JSON object.
    """
    if len(raw) > LARGEST_INFLATED:
        raise TooLargeError(f"this request has {len(raw)} bytes and may have {LARGEST_INFLATED}")
    try:
        found = orjson.loads(raw)
    except (ValueError, RecursionError):
        raise MalformedError("this request is no JSON") from None
    if not isinstance(found, dict):
        raise MalformedError("this request is JSON and no object")
    return found


class Fields:
    """The fields of one message, each asked for by name and kind; what is left over is refused.

    Raises, in each method:
        MalformedError: the field is absent, or not what it has to be.
    """

    def __init__(self, found: Mapping[str, Any], what: str) -> None:
        self._found, self._what = found, what
        self._asked: set[str] = set()

    def _get(self, name: str) -> Any:
        self._asked.add(name)
        return self._found.get(name)

    def _no(self, name: str, wanted: str) -> MalformedError:
        return MalformedError(f"{self._what}: {name!r} has to be {wanted}")

    def number(self, name: str, least: int = 0, most: int = _LARGEST_NUMBER) -> int:
        """Return a whole number between two."""
        value = self._get(name)
        if type(value) is not int or not least <= value <= most:
            raise self._no(name, f"a whole number from {least} to {most}")
        return value

    def text(self, name: str, longest: int, pattern: re.Pattern[str] | None = None) -> str:
        """Return printable text of at most so many characters."""
        value = self._get(name)
        if not isinstance(value, str) or not value.isprintable() or not len(value) <= longest:
            raise self._no(name, f"printable text of at most {longest} characters")
        if pattern is not None and not pattern.fullmatch(value):
            raise self._no(name, f"like {pattern.pattern}")
        return value

    def boot(self) -> str:
        """Return the id of a boot."""
        return self.text("boot", 64, _BOOT)

    def digest(self, name: str) -> str:
        """Return a SHA-256 in hexadecimal digits."""
        return self.text(name, 64, _HEX)

    def moment(self, name: str) -> int:
        """Return a time of RFC 3339 in microseconds since 1970."""
        return moment_of(self._get(name), f"{self._what}: {name!r}")

    def map(self, name: str) -> dict[str, Any] | None:
        """Return an object, or ``None`` where there is none."""
        value = self._get(name)
        if value is not None and not isinstance(value, dict):
            raise self._no(name, "an object")
        return value

    def list(self, name: str, most: int) -> list[Any]:
        """Return a list of at most so many."""
        value = self._get(name)
        if not isinstance(value, list) or len(value) > most:
            raise self._no(name, f"a list of at most {most}")
        return value

    def end(self) -> None:
        """Refuse what was not asked for."""
        more = sorted(self._found.keys() - self._asked)
        if more:
            raise MalformedError(f"{self._what}: {more[0][:40]!a} is not known there")


def moment_of(value: Any, what: str) -> int:
    """Return a time of RFC 3339, with an offset, in microseconds since 1970.

    Raises:
        MalformedError: it is none.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None  # noqa: PLR2004 - digits of a time
        found = None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise MalformedError(f"{what} has to be a time like 2026-11-22T09:00:00Z")
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _MICROSECONDS + since.microseconds
