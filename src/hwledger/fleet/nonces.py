"""What a host is given to sign to show that it holds a key: bound to the host, and good for a minute.

The server keeps nothing for it: a nonce carries its own end and a code that only this server makes.
"""

import base64
import binascii
import hmac
from typing import Final

from hwledger.fleet.context import Fleet

_LIFE: Final = 60_000_000
_RANDOM, _TIME, _CODE = 16, 8, 32


class Nonces:
    """Gives nonces and knows its own; those of an earlier start of the server are not known."""

    def __init__(self, fleet: Fleet) -> None:
        self._clock = fleet.clock
        self._random = fleet.random
        self._secret = fleet.random(_CODE)

    def give(self, host: str) -> str:
        """Return a nonce for a host, whether there is one of that name or not."""
        head = (self._clock() + _LIFE).to_bytes(_TIME, "big") + self._random(_RANDOM)
        return base64.urlsafe_b64encode(head + self._code(host, head)).decode()

    def knows(self, host: str, nonce: str) -> bool:
        """Return whether a nonce was given to a host within the last minute."""
        try:
            raw = base64.b64decode(nonce, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return False
        head, code = raw[: _TIME + _RANDOM], raw[_TIME + _RANDOM :]
        fresh = 0 <= int.from_bytes(head[:_TIME], "big") - self._clock() <= _LIFE
        return fresh and hmac.compare_digest(code, self._code(host, head))

    def _code(self, host: str, head: bytes) -> bytes:
        return hmac.digest(self._secret, host.encode() + b"\n" + head, "sha256")
