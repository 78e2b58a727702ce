"""Parameters of multimodal models, encoder-decoders and encoders against transformers' own counts."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hwledger.library.config import read_config
from hwledger.library.config.families import family_of

HOMES = ("multimodal", "gemma4", "mllama", "encoder", "encoder_decoder", "gemma3n")


def models(shared_data: Path) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Return the rows with a count by transformers whose type is read by a module under test."""
    rows = list(csv.DictReader((shared_data / "model_params.csv").read_text("utf-8").splitlines()))
    found = []
    for row in rows:
        raw = json.loads((shared_data / "model_configs" / row["file"]).read_text("utf-8"))
        home = family_of(str(raw.get("model_type")))[0].__module__.rpartition(".")[2]
        if row["oracle_total"] and home in HOMES:
            found.append((row, raw))
    return found


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_total_and_active(shared_data: Path) -> None:
    """Total and active parameters are exact, for every configuration that transformers builds.

    A flat Step-3.7 file is left out: transformers ignores its keys and counts its own defaults.
    """
    wrong = []
    for row, raw in models(shared_data):
        if raw["model_type"] == "step3p7" and "text_config" not in raw:
            continue
        census = read_config(raw, where=row["file"]).census
        expected = int(row["oracle_total"]), int(row["oracle_active"])
        if (census.total, census.active) != expected:
            wrong.append((row["file"], census.total - expected[0], census.active - expected[1]))
    assert wrong == []
