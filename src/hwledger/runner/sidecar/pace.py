"""How many tokens of a prompt are taken in at once, so that a request that is given up ends soon."""

from typing import Final

AIM_S: Final = 0.25
"""A step may take so long: what is cancelled has to end within a second on a machine that is busy, too."""
FIRST: Final = 32
LEAST: Final = 4


class Pace:
    """Halves its steps while they take too long, and doubles them while they are short; reads no clock.

    Args:
        most: tokens of a step at most.
    """

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._size = min(FIRST, self._most)

    def step(self, left: int) -> int:
        """Return the tokens of the next step, where so many are left."""
        return min(self._size, left)

    def took(self, size: int, seconds: float) -> None:
        """Learn how long a step took."""
        if seconds > AIM_S:
            self._size = max(min(LEAST, self._most), size // 2)
        elif seconds < AIM_S / 3 and size == self._size:
            self._size = min(self._most, 2 * size)
