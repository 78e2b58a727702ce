"""Weights of quantised repositories: computed from the config alone against the published sizes."""

import json
from pathlib import Path

import pytest

from hwledger.library.config import read_config
from hwledger.planner.weights import weigh

# total_size in model.safetensors.index.json of the repositories of that name.
PUBLISHED = {
    "openai__gpt-oss-20b": 13_761_264_768,
    "openai__gpt-oss-120b": 65_248_815_744,
}


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
@pytest.mark.parametrize(("name", "expected"), PUBLISHED.items())
def test_published_sizes(shared_data: Path, name: str, expected: int) -> None:
    """Packed experts with their scales and everything left unquantised add up to the published bytes."""
    raw = json.loads((shared_data / "model_configs" / f"{name}.json").read_text("utf-8"))
    assert weigh(read_config(raw, where=name)).total == expected


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_deepseek_v3(shared_data: Path) -> None:
    """DeepSeek-V3 in fp8 blocks, its MTP head included, is within 0.01 % of the repository's weight bytes."""
    raw = json.loads((shared_data / "model_configs" / "deepseek-ai__DeepSeek-V3.json").read_text("utf-8"))
    table = weigh(read_config(raw))
    assert table.total + table.mtp == pytest.approx(688_586_727_753, rel=1e-4)


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_every_quantised_config(shared_data: Path) -> None:
    """Every config that states a quantisation is planned with fewer bytes than its 16-bit weights."""
    for path in sorted((shared_data / "model_configs").glob("*.json")):
        raw = json.loads(path.read_text("utf-8"))
        if "quantization_config" not in raw:
            continue
        spec = read_config(raw, where=path.name)
        assert spec.quantisation is not None, path.name
        assert weigh(spec).total < 1.1 * spec.census.total, path.name
