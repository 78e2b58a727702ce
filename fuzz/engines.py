"""Outputs of engines, damaged: every reader against mutated pages, replies and logs.

``python fuzz/engines.py 1000000 [FOLDER]`` runs that many mutations of the outputs in a folder, or of those
that the tests write; the tests of this folder run a few. What may come out is a sample whose every number is
in the text, times a unit, or is said to be computed from others.
"""

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from hwledger.telemetry.engines.formats import FORMATS
from support.engine_outputs import SEEDS, strangers

PIECES = (
    "\n", "\x00", "\ufffd", "-", "9" * 30, "1e309", "NaN", "+Inf", '"', "{", "}", "=", ",", ".", "e", "0",
    " ", "\u0660", "None", "null", "[[", "MiB", "GB", "%", "\\", "#", "'",
)  # fmt: skip


@dataclass
class Findings:
    """What a run showed.

    Attributes:
        cases: mutations that were read.
        slowest_s: the longest of them.
        wrong: what must not happen.
    """

    cases: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


def mutated(dice: random.Random, text: str) -> str:
    """Return a text with a few pieces changed, removed, moved or repeated."""
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(text) + 1)
        end = min(len(text), at + dice.choice((0, 1, 1, 2, 8, 40)))
        match dice.randrange(4):
            case 0:
                text = text[:at] + dice.choice(PIECES) + text[end:]
            case 1:
                text = text[:at] + text[end:]
            case 2:
                text = text[:end] + text[at:]
            case _:
                text = text[:at] + chr(dice.randrange(1, 256)) + text[at + 1 :]
    return text


def run(cases: int, seed: int = 1, texts: tuple[str, ...] = SEEDS) -> Findings:
    """Run ``cases`` mutations and return what they showed."""
    found, dice = Findings(), random.Random(seed)
    readers = [(text, [each for each in FORMATS if each.recognises(text)]) for text in texts]
    for number in range(cases):
        text, known = dice.choice(readers)
        damaged = mutated(dice, text)
        start = time.perf_counter()
        for each in known or FORMATS:
            try:
                each.recognises(damaged)
                wrong = strangers(each.read(damaged), damaged)
            except Exception as error:  # noqa: BLE001 - any is what is looked for
                found.wrong.append(
                    f"case {number}: {each.name}: {type(error).__name__}: {error}: {damaged[:300]!r}"
                )
                continue
            if wrong:
                found.wrong.append(f"case {number}: {each.name}: {wrong[:2]}: {damaged[:300]!r}")
        found.slowest_s = max(found.slowest_s, time.perf_counter() - start)
        found.cases += 1
    return found


if __name__ == "__main__":
    inputs = SEEDS
    if len(sys.argv) > 2:
        files = [path for path in sorted(Path(sys.argv[2]).rglob("*")) if path.is_file()]
        inputs = tuple(path.read_text("utf-8", "replace") for path in files)
    result = run(int(sys.argv[1]), texts=inputs)
    print(f"{result.cases:,} cases, slowest {result.slowest_s:.3f} s, {len(result.wrong):,} wrong")
    for line in result.wrong[:20]:
        print(line)
    sys.exit(bool(result.wrong))
