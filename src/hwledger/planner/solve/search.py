"""Finding the largest number that works, with few tries."""

from collections.abc import Callable, Iterable


def largest(low: int, high: int, works: Callable[[int], bool], breaks: Iterable[int] = ()) -> int | None:
    """Return the largest number in ``low`` … ``high`` that works; ``None`` where none does.

    The range is cut into cells at ``low``, twice that, four times …, at each break and at ``high``. Within
    a cell ``works`` must hold up to some number only (an engine that changes its rules at a length says so
    as a break). So a cell whose first number fails holds no answer, and the last cell whose first number
    works holds the largest.
    """
    if low > high:
        return None
    starts = _starts(low, high, breaks)
    for index in range(len(starts) - 1, -1, -1):
        if works(starts[index]):
            last = starts[index + 1] - 1 if index + 1 < len(starts) else high
            return _bisect(starts[index], last, works)
    return None


def _starts(low: int, high: int, breaks: Iterable[int]) -> list[int]:
    found = {low, high, *(point for point in breaks if low < point <= high)}
    point = max(1, low)
    while point < high:
        found.add(point)
        point *= 2
    return sorted(found)


def _bisect(low: int, high: int, works: Callable[[int], bool]) -> int:
    while low < high:
        middle = (low + high + 1) // 2
        if works(middle):
            low = middle
        else:
            high = middle - 1
    return low
