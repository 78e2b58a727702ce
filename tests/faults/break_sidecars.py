"""Break sidecars in every way, again and again: ``python tests/faults/break_sidecars.py --times 500``.

Each time one of host, guard and engine is killed, crashes, hangs, ends, closes its pipes or talks nonsense;
then no process of theirs may be left, no zombie, nothing may hang, and the user has to see one sentence. It
ends with 1 where one of that happens, and says which.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.sidecars import FAULTS


def main(words: list[str]) -> int:
    """Break as often as is said, and return whether all ended well."""
    parser = argparse.ArgumentParser(description="Break sidecars.")
    parser.add_argument("--times", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args(words)
    chance, done, bad, longest = random.Random(given.seed), Counter[str](), 0, 0.0
    names = list(FAULTS)
    for number in range(given.times):
        name, begun = names[number % len(names)], time.monotonic()
        try:
            FAULTS[name](chance)
        except AssertionError as error:
            bad += 1
            sys.stdout.write(f"{number} {name}: {error}\n")
        done[name] += 1
        longest = max(longest, time.monotonic() - begun)
    counts = ", ".join(f"{name} {count}" for name, count in done.items())
    sys.stdout.write(f"{given.times} times ({counts}): {bad} bad; the longest took {longest:.1f} s\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
