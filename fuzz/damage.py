"""Damages one byte of a page of metrics, at every place, and counts the series that survive.

``PYTHONPATH=tests python fuzz/damage.py`` takes the pages of ``../shared/data/telemetry_samples``.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from outputs import samples

from hwledger.library.serving.metrics import Series, read_page
from hwledger.telemetry.recorded import formats

BYTES = b"\0\n\r \"'{}#=,\\x09\xff"
"""What a byte becomes: what ends lines, labels, names and numbers, a letter, digits and no UTF-8."""
_PAGES = ("/metrics", "exporter", "macmon serve")


@dataclass(frozen=True)
class Survived:
    """What is left of one page.

    Attributes:
        name: of the page.
        series: that it has.
        damages: that were tried.
        most_lost: series that one damaged byte lost or changed.
    """

    name: str
    series: int
    damages: int
    most_lost: int

    @property
    def least_share(self) -> float:
        """The least share of the series that survived."""
        return 1 - self.most_lost / self.series


def pages() -> Iterator[tuple[str, str]]:
    """Yield names and texts of pages of metrics."""
    for name, text in samples():
        kinds = [each.name for each in formats() if each.recognises(text)]
        if any(word in kind for kind in kinds for word in _PAGES) and read_page(text).series:
            yield name, text


def survived(name: str, text: str, step: int = 1) -> Survived:
    """Return what is left of a page when one byte of it is damaged, tried at every ``step``-th place.

    Only the lines beside the damaged one are read again: lines are read each by itself.
    """
    raw = text.encode()
    lines = raw.split(b"\n")
    most, tried, start = 0, 0, 0
    for number, line in enumerate(lines):
        near = lines[number : number + 2]
        before = _counted(b"\n".join(near))
        for at in range((-start) % step, len(line) + (number + 1 < len(lines)), step):
            whole = bytearray(b"\n".join(near))
            for byte in BYTES:
                if whole[at] != byte:
                    damaged = bytes(whole[:at]) + bytes([byte]) + bytes(whole[at + 1 :])
                    most = max(most, (before - _counted(damaged)).total())
                    tried += 1
        start += len(line) + 1
    return Survived(name, len(read_page(text).series), tried, most)


def _counted(raw: bytes) -> Counter[tuple[str, str, float | None]]:
    return Counter(map(_of, read_page(raw.decode("utf-8", "replace")).series))


def _of(series: Series) -> tuple[str, str, float | None]:
    return series.name, repr(sorted(series.labels.items())), series.value


if __name__ == "__main__":
    found = [survived(name, text, int(sys.argv[1]) if len(sys.argv) > 1 else 1) for name, text in pages()]
    for each in sorted(found, key=lambda one: one.least_share):
        print(
            f"{each.least_share:7.2%} of {each.series:5} survive at least, {each.most_lost} lost: {each.name}"
        )
    print(f"{len(found)} pages, {sum(each.damages for each in found):,} damages")
