"""Writes what recorded outputs are read as, for review by eye: ``golden_telemetry.py PART-OF-A-NAME…``.

Reads ``../shared/data/telemetry_samples`` and writes ``tests/data/telemetry``.
"""

import json
import sys
from pathlib import Path

from hwledger.telemetry.document import sample_document
from hwledger.telemetry.recorded import read_recorded

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT.parent / "shared" / "data" / "telemetry_samples"
GOLDEN = ROOT / "tests" / "data" / "telemetry"


def main(parts: list[str]) -> None:
    """Write the golden file of every sample whose name holds one of the parts."""
    for path in sorted(SAMPLES.rglob("*")):
        name = str(path.relative_to(SAMPLES))
        if path.is_file() and name != "index.csv" and any(part in name for part in parts):
            kind, sample = read_recorded(path.read_text("utf-8", "replace"), name)
            target = GOLDEN / f"{name}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            told = {"format": kind.name, **sample_document(sample)}
            target.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
            print(f"{name}: {kind.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
