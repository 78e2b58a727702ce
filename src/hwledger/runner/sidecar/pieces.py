"""Text out of tokens, one after the other, where one character can take several of them."""

from collections.abc import Callable, Sequence
from typing import Final

BEFORE: Final = 6
"""Tokens before the new ones that are decoded with them: what they are joined by depends on them."""
UNFINISHED: Final = "\ufffd"


class Pieces:
    """Turns tokens into text that is never taken back.

    Args:
        decode: returns the text of tokens.
        prompt: tokens before the first one.
    """

    def __init__(self, decode: Callable[[list[int]], str], prompt: Sequence[int]) -> None:
        self._decode = decode
        self._before = list(prompt[-BEFORE:])
        self._open: list[int] = []

    def add(self, token: int) -> str:
        """Return the text that a token completes; empty where a character is not whole yet."""
        self._open.append(token)
        text = self._text()
        if text.endswith(UNFINISHED):
            return ""
        self._before, self._open = [*self._before, *self._open][-BEFORE:], []
        return text

    def rest(self) -> str:
        """Return what is left at the end."""
        return self._text() if self._open else ""

    def _text(self) -> str:
        whole = self._decode([*self._before, *self._open])
        return whole[len(self._decode(self._before)) :]
