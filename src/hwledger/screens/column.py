"""How lists are drawn: their columns, by importance."""

from typing import NamedTuple


class Column(NamedTuple):
    """How one column of a list is drawn.

    Attributes:
        name: its head.
        right: whether it is aligned to the right.
        rank: where the terminal is narrow, columns of a higher rank go first; 0 never goes.
        wraps: whether its texts may take several lines.
    """

    name: str
    right: bool = False
    rank: int = 0
    wraps: bool = False
