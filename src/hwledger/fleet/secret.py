"""Secrets that cannot be printed by accident, and texts with what looks like one taken out."""

import re
from typing import Final

HIDDEN: Final = "***"
_LOOKS_SECRET: Final = re.compile(
    r"hw[lu]1\.[A-Za-z0-9_.\-]+"  # join tokens and users' tokens
    r"|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=\-]+"
    r"|PRIVATE\+KEY\+\S+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=://)[^/\s@]+(?=@)",  # what stands before the host of an address
    re.DOTALL,
)


class Secret:
    """A text that is shown only where it is asked for by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return HIDDEN

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled; reveal it where it is needed")


def redacted(text: str) -> str:
    """Return a text without what looks like a token, a key or a password in an address."""
    return _LOOKS_SECRET.sub(HIDDEN, text)
