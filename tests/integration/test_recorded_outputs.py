"""Recorded outputs of real machines, tools and engines: the right value or the right reason for each."""

import json
from pathlib import Path

import pytest

from hwledger.telemetry.document import sample_document
from hwledger.telemetry.recorded import formats, read_recorded

GOLDEN = Path(__file__).parent.parent / "data" / "telemetry"
NAMES = sorted(str(path.relative_to(GOLDEN))[: -len(".json")] for path in GOLDEN.rglob("*.json"))


@pytest.mark.shared_data
@pytest.mark.requirement("FR-TEL-RECORDED")
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_output_is_read_as_was_reviewed(shared_data: Path, name: str) -> None:
    """Proves every device, engine, value and reason of one recorded output against its golden file."""
    text = (shared_data / "telemetry_samples" / name).read_text("utf-8", "replace")
    kind, sample = read_recorded(text, name)
    told = json.loads(json.dumps({"format": kind.name, **sample_document(sample)}))
    assert told == json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))


@pytest.mark.shared_data
@pytest.mark.requirement("FR-TEL-RECORDED")
def test_only_one_kind_of_output_knows_each_recorded_output(shared_data: Path) -> None:
    """Proves that no reader takes another tool's output for its own."""
    for name in NAMES:
        text = (shared_data / "telemetry_samples" / name).read_text("utf-8", "replace")
        knowing = [each.name for each in formats() if each.recognises(text)]
        assert len(knowing) == 1, (name, knowing)
