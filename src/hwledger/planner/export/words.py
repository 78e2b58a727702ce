"""Values and sentences as programs and comments hold them."""

from typing import Final

LONGEST_LINE: Final = 400


def plain(value: object) -> str:
    """Return a value as programs read it: ``3,1`` for a tuple, no trailing zero."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return ",".join(plain(part) for part in value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def one_line(text: str) -> str:
    """Return ``text`` for a comment: on one line, without what a terminal or a shell could take for more."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return shown if len(shown) <= LONGEST_LINE else f"{shown[: LONGEST_LINE - 1]}…"
