"""What is said between hwledger and a sidecar: JSON-RPC 2.0, a message a line; ``schemas/sidecar-1.json``.

Both sides use this module, so it imports nothing but the standard library. A line that is too long is read
to its end and thrown away, so that no message costs more memory than the limit; what is no message is an
error, never a guess.
"""

import json
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import IO, Any, Final

VERSION: Final = 1
LONGEST: Final = 32 << 20
"""Bytes of a line; a prompt of so many fits into no context."""
_CHUNK: Final = 1 << 16


class Code(IntEnum):
    """Codes of errors: those of JSON-RPC 2.0, and three of one's own."""

    PARSE = -32700
    INVALID = -32600
    UNKNOWN_METHOD = -32601
    BAD_PARAMS = -32602
    INTERNAL = -32603
    ENGINE = -32000
    """The engine failed."""
    USAGE = -32001
    """The request cannot be met as it is: what to do instead is in the message."""
    NOT_LOADED = -32002
    """No model is loaded."""


class WrongMessageError(Exception):
    """A line is no message; ``code`` says why in the words of JSON-RPC."""

    def __init__(self, message: str, code: Code = Code.PARSE) -> None:
        super().__init__(message)
        self.code = code


class SidecarError(Exception):
    """What a request failed with, as it is told over the protocol."""

    def __init__(self, message: str, code: Code = Code.ENGINE) -> None:
        super().__init__(message)
        self.code = code


def lines(file: IO[bytes], longest: int = LONGEST) -> Iterator[bytes | None]:
    """Yield the lines of an unbuffered file without their ends until it ends; ``None``: one was too long.

    What follows the last end of a line is no line: its writer died within it.
    """
    held, skipping = bytearray(), False
    while chunk := file.read(_CHUNK):
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            whole, held = held + part, bytearray()
            if skipping or len(whole) > longest:
                yield None
            elif whole.strip():
                yield bytes(whole)
            skipping = False
        held += rest
        if len(held) > longest:
            held, skipping = bytearray(), True


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as a line.

    Raises:
        ValueError: it holds what JSON has no word for.
    """
    return json.dumps({"jsonrpc": "2.0", **message}, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes | None) -> dict[str, Any]:
    """Return the message of a line.

    Raises:
        WrongMessageError: it is none.
    """
    if line is None:
        raise WrongMessageError(f"a line is longer than {LONGEST >> 20} MiB")
    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise WrongMessageError(f"a line is no JSON: {line[:60]!r}") from None
    if not isinstance(found, dict) or found.get("jsonrpc") != "2.0":
        raise WrongMessageError(f"a line is no JSON-RPC 2.0: {line[:60]!r}", Code.INVALID)
    return found


def _refuse(word: str) -> float:
    raise ValueError(word)


def request(number: int, method: str, params: Mapping[str, Any]) -> bytes:
    """Return a request as a line."""
    return encode({"id": number, "method": method, "params": dict(params)})


def result(number: object, told: Mapping[str, Any]) -> bytes:
    """Return the answer to a request as a line."""
    return encode({"id": number, "result": dict(told)})


def failure(number: object, code: Code, message: str) -> bytes:
    """Return that a request failed as a line; ``number`` is ``None`` where it is not known which."""
    return encode({"id": number, "error": {"code": int(code), "message": message}})


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    """Return what nobody answers as a line."""
    return encode({"method": method, "params": dict(params)})
