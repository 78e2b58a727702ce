"""What measured runs of the user's own do to the figures of an answer, in one line."""

from collections.abc import Iterable

from hwledger.planner.throughput import Throughput

WHERE = "(`hwledger calibrate --list`)"


def own_runs(throughput: Throughput) -> tuple[str, ...]:
    """Return the sentence that measured runs of one's own correct the figures; none where they do not."""
    return runs_words([throughput])


def runs_words(answers: Iterable[Throughput | None], *, unordered: bool = False) -> tuple[str, ...]:
    """Return the sentence on the figures of several answers; none where no run corrects any.

    Args:
        answers: the speeds.
        unordered: the search went by figures without the runs; what it found is corrected.
    """
    counts = sorted({count for one in answers if one for _, count in one.corrected})
    if not counts:
        return ()
    runs = f"{counts[-1]} measured run{'s' if counts[-1] > 1 else ''} of your own"
    said = f"corrected by {'up to ' if len(counts) > 1 else ''}{runs} {WHERE}"
    if unordered:
        said += "; the catalogue was looked through by figures without them, and each answer corrected"
    return (said,)
