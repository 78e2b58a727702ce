"""Damages outputs of tools, drivers and engines, and reads them.

``PYTHONPATH=tests python fuzz/outputs.py 1000000 SEED`` reads a million, in some ten minutes of a core.
Nothing may be raised, and no number may come out that the damaged text does not hold (``support.oracle``).
Texts are those of ``../shared/data/telemetry_samples`` where they are there, and those of ``texts``.
"""

import random
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from texts import TEXTS

from hwledger.telemetry.document import sample_document
from hwledger.telemetry.recorded import Format, formats
from support.oracle import strangers

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "telemetry_samples"
EVERY_READER = 0.01
WINDOW = 20_000
"""Of a longer text mostly a part is damaged and read, so that many damages are tried."""
MOST_WRONG = 200
PIECES = (
    "0", "-1", "1e999", "1e5", "0x1f", "0b1", "1_000", "1,234", "9" * 20, "9" * 5000, "18446744073709551615",
    "0.1.2", "..", "+7", "-0", "NaN", "inf", "Infinity", "null", "true", "N/A", "[N/A]", "[Not Supported]",
    "\u0663\u0664", "\u00b2", "\uff11", "\u2103", "\0", "\r", "\t", "\n", "\n\n", " ", '"', "'", "\\",
    "\\u0031", "{", "}", "[", "]", "[]", "{}", ",", ":", "=", "|", "#", "<", ">", "</gpu>", "<gpu id='x'>",
    "&#49;", "&amp;", "%", " MiB", "KB", " GB", " W", "mW", "MHz", "C", "J", "kB/s", "/", "-", "_total",
    'a="b"', '{le="1"}',
)  # fmt: skip


@dataclass
class Findings:
    """What a run found.

    Attributes:
        runs: mutations that were read.
        readers: how often each reader read.
        told: samples with at least one number.
        slowest: the longest that one text took, in seconds, with the name of the reader.
        wrong: what was raised or invented, each with what repeats it.
    """

    runs: int = 0
    readers: Counter[str] = field(default_factory=Counter)
    told: int = 0
    slowest: tuple[float, str] = (0.0, "")
    wrong: list[str] = field(default_factory=list)


def samples() -> list[tuple[str, str]]:
    """Return names and texts of what is damaged."""
    recorded = [
        (str(path.relative_to(SAMPLES)), path.read_text("utf-8", "replace"))
        for path in sorted(SAMPLES.rglob("*"))
        if path.is_file() and path.name != "index.csv"
    ]
    return recorded + [(f"texts {number}", text) for number, text in enumerate(TEXTS)]


def damaged(source: random.Random, text: str, other: str) -> str:
    """Return a text with some of it changed, cut, repeated, moved, or replaced by a piece of another."""
    if len(text) > WINDOW and source.random() < 0.9:
        at = source.randrange(len(text) - WINDOW // 2)
        text = text[:2000] + text[at : at + WINDOW // 2]
    for _ in range(source.choice((1, 1, 1, 2, 3, 6))):
        text = _once(source, text, other)
    return text


def _once(source: random.Random, text: str, other: str) -> str:
    at = source.randrange(len(text) + 1)
    end = min(len(text), at + source.choice((1, 1, 2, 5, 20, 200)))
    start = source.randrange(len(other) + 1)
    sign = chr(source.choice((source.randrange(32, 127), source.randrange(0xD7FF))))
    ways = (
        lambda: text[:at] + sign + text[end:],
        lambda: text[:at] + text[end:],
        lambda: text[:end] + text[at:],
        lambda: text[:at] + source.choice(PIECES) + text[source.choice((at, end)) :],
        lambda: text[:at] + source.choice(PIECES) + text[end:],
        lambda: text[:at] if source.random() < 0.5 else text[at:],
        lambda: text[:at] + other[start : start + source.choice((3, 30, 300))] + text[end:],
        lambda: _digits(source, text, at),
        lambda: _shuffled(source, text),
    )
    return source.choice(ways)()


def _shuffled(source: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    at, to = source.randrange(len(lines) + 1), source.randrange(len(lines) + 1)
    return "".join((*lines[:at], *lines[to : to + 5], *lines[at:]))


def _digits(source: random.Random, text: str, at: int) -> str:
    """Return a text with the next number replaced."""
    start = next((n for n in range(at, min(len(text), at + 500)) if text[n].isdigit()), None)
    if start is None:
        return text
    end = start
    while end < len(text) and text[end] in "0123456789.":
        end += 1
    size = source.choice((1, 2, 4, 8, 11, 20, 40))
    return text[:start] + "".join(source.choice("0123456789") for _ in range(size)) + text[end:]


def run(count: int, seed: int) -> Findings:
    """Read ``count`` damaged texts; the same seed damages the same."""
    source = random.Random(seed)
    found = Findings()
    every = samples()
    knowing = [[each for each in formats() if each.recognises(text)] for _, text in every]
    weights = [max(len(text), 500) ** -0.7 for _, text in every]
    for number in range(count):
        (which,) = source.choices(range(len(every)), weights)
        name, text = every[which]
        broken = damaged(source, text, source.choice(every)[1])
        readers = formats() if source.random() < EVERY_READER else knowing[which]
        for each in readers:
            _read(found, each, broken, f"seed {seed}, {number}, {name}")
        found.runs += 1
        if len(found.wrong) >= MOST_WRONG:
            break
    return found


def _read(found: Findings, kind: Format, text: str, where: str) -> None:
    start = time.perf_counter()
    try:
        kind.recognises(text)
        sample = kind.read(text)
        sample_document(sample)
    except Exception as error:  # noqa: BLE001 - what is raised is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        found.wrong.append(f"{kind.name}: {type(error).__name__} at {place}: {str(error)[:120]} ({where})")
        return
    took = time.perf_counter() - start
    found.slowest = max(found.slowest, (took, f"{kind.name} ({where})"))
    found.readers[kind.name] += 1
    found.told += bool(sample.devices or sample.engines)
    for each in strangers(sample, text)[:3]:
        found.wrong.append(f"{kind.name}: not in the text: {each} ({where})")


if __name__ == "__main__":
    begun = time.process_time()
    result = run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    read = f"{sum(result.readers.values()):,} readings by {len(result.readers)} readers"
    print(f"{result.runs:,} damaged texts, {read}")
    print(f"{result.told:,} still tell something; slowest {result.slowest[0]:.2f} s: {result.slowest[1]}")
    print(f"{time.process_time() - begun:.0f} s of CPU time; {len(result.wrong)} wrong")
    for line in result.wrong:
        print(line)
    sys.exit(bool(result.wrong))
