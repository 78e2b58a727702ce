"""Where a catalogue comes from: a file or an address, read whole within a limit."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from hwledger.errors import InputError, MalformedError, MissingError, UsageError
from hwledger.library.net.address import is_local

LIMIT: Final = 32 << 20
"""The catalogue in the package is 170 kB; 32 MiB leaves room for two hundred times as many models."""

Fetch = Callable[[str, int], bytes]


def read_source(source: str, fetch: Fetch) -> tuple[bytes, str]:
    """Return the bytes of a source, and what to call it in sentences and in the record.

    An address is recorded without user, query and fragment: those may hold what nobody else should read.

    Args:
        source: a path, also as ``file:///path``, or an address that starts with ``https://``; ``http://``
            for this machine only.
        fetch: returns what is at an address, at most so many bytes.

    Raises:
        UsageError: the source is no path and no address that may be used.
        MissingError: there is no such file.
        MalformedError: it is larger than 32 MiB.
        InputError: it cannot be read.
        UnreachableError: the server did not answer.
    """
    if not source.strip():
        raise UsageError("the source of a catalogue is empty; give a path or an https:// address")
    if source[:7].lower() == "file://":
        return _read_file(_path_of(source))
    if "://" not in source:
        return _read_file(Path(source))
    address = _checked_address(source)
    raw = fetch(source, LIMIT)
    where = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return _within_limit(raw, where), where


def check_digest(raw: bytes, wanted: str, where: str) -> str:
    """Return the SHA-256 of ``raw``, which is the wanted one where one is wanted.

    Raises:
        MalformedError: it is another.
    """
    from hashlib import sha256  # noqa: PLC0415 - start-up time

    digest = sha256(raw).hexdigest()
    if wanted and digest != wanted.lower():
        raise MalformedError(
            f"{where}: its SHA-256 is {digest} and not {wanted.lower()}; nothing was installed"
        )
    return digest


def check_wanted(wanted: str) -> None:
    """Refuse what is no SHA-256.

    Raises:
        UsageError: it is none.
    """
    if wanted and not re.fullmatch(r"[0-9a-fA-F]{64}", wanted):
        raise UsageError(f"{wanted[:80]!r} is no SHA-256: that has 64 hexadecimal digits")


def _path_of(address: str) -> Path:
    """Return the path that a ``file://`` address of this machine names (RFC 8089)."""
    from urllib.request import url2pathname  # noqa: PLC0415 - start-up time

    host, slash, path = address[7:].partition("/")
    if not slash or host.lower() not in {"", "localhost"}:
        raise UsageError(
            f"{address[:200]!r} is no file of this machine; write file:///path or the path itself"
        )
    return Path(url2pathname(f"/{path}"))


def _checked_address(source: str) -> SplitResult:
    try:
        address = urlsplit(source)
        host = address.hostname
    except ValueError:
        raise UsageError(
            f"{source[:200]!r} is no address; write it like https://host/catalogue.jsonl"
        ) from None
    if not host or address.scheme not in {"http", "https"}:
        raise UsageError(f"{source[:200]!r} is no path and no https:// address")
    if address.scheme == "http" and not is_local(source):
        raise UsageError(f"http://{host} can be tampered with on the way; use https:// or a file")
    return address


def _read_file(path: Path) -> tuple[bytes, str]:
    where = str(path)
    try:
        where = str(path.absolute()).encode(errors="backslashreplace").decode()
        if path.exists() and not path.is_file():
            raise InputError(f"{where}: this is no file; give the catalogue's file itself")
        with path.open("rb") as file:
            return _within_limit(file.read(LIMIT + 1), where), where
    except FileNotFoundError:
        raise MissingError(f"{where}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _within_limit(raw: bytes, where: str) -> bytes:
    if len(raw) > LIMIT:
        raise MalformedError(f"{where}: this is larger than a catalogue may be ({LIMIT >> 20} MiB)")
    return raw
