"""Parameter counts and layer kinds against those of transformers itself."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwledger.library.config import read_config

TABLE = Path(__file__).parent.parent / "data" / "transformers_counts.csv"
# Transformers counts these as another class than the checkpoint's: a dense Llama for MiniCPM's
# experts, the class defaults for Step-3.7's flat file.
BUILT_AS_ANOTHER = {
    "openbmb__MiniCPM-MoE-8x2B",
    "stepfun-ai__Step-3.7-Flash",
    "stepfun-ai__Step-3.7-Flash-FP8",
}


def table() -> Iterator[Any]:
    """Yield the rows of the committed table as parameters."""
    with TABLE.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield pytest.param(row, id=f"{row['model_type']} {row['keys']}")


@pytest.mark.requirement("FR-PLAN-PARAMETERS", "FR-PLAN-LAYERS")
@pytest.mark.parametrize("row", list(table()))
def test_counts_equal_those_of_transformers(row: dict[str, str]) -> None:
    """Class defaults and one turned knob at a time give the very count that transformers builds."""
    stated = {} if row["keys"] == "default" else json.loads(row["keys"])
    spec = read_config({"model_type": row["model_type"], **stated})
    assert spec.census.total == int(row["total"])
    if row["kinds"]:
        kinds = "".join("s" if layer.kind == "sliding_attention" else "f" for layer in spec.layers)
        assert kinds == row["kinds"]


@pytest.mark.shared_data
@pytest.mark.requirement("FR-PLAN-PARAMETERS", "FR-PLAN-LAYERS")
def test_published_configs_are_counted_exactly(shared_data: Path) -> None:
    """Total, active and per-layer counts and the kinds of layers, for every config that has them."""
    counts = json.loads((shared_data / "model_params.json").read_text("utf-8"))
    resolved = json.loads((shared_data / "resolved_layers.json").read_text("utf-8"))
    wrong = []
    for path in sorted((shared_data / "model_configs").glob("*.json")):
        wanted = counts.get(path.stem)
        if path.stem in BUILT_AS_ANOTHER or not wanted or not wanted.get("ok"):
            continue
        spec = read_config(json.loads(path.read_text("utf-8")))
        census = spec.census
        got = census.total, census.active
        # transformers' figures put an encoder's and a decoder's layers of one index together
        layers = spec.encoder_layers or list(census.by_layer) == wanted["layer_totals"]
        if got != (wanted["total"], wanted["active"]) or not layers:
            wrong.append(f"{path.stem}: {census.total} and not {wanted['total']}")
        kinds = (resolved.get(path.stem) or {}).get("layer_kinds")
        if kinds and [layer.kind for layer in spec.layers] != kinds:
            wrong.append(f"{path.stem}: kinds of layers")
    assert not wrong
