"""From a catalogue name to the size of the file that people download."""

import pytest

from hwledger.library.catalogue import entries, lookup
from hwledger.library.config import read_config
from hwledger.planner.weights import weigh


@pytest.mark.requirement("FR-PLAN-CATALOGUE", "FR-PLAN-WEIGHTS")
@pytest.mark.parametrize(
    ("name", "mix", "gibibytes"),
    [
        ("llama-2-7b", "Q4_0", 3.56),
        ("llama-3.1-70b", "Q4_K_M", 39.59),
        ("Llama-3.2-3B-Instruct", "Q4_K_M", 1.87),
        ("Qwen2.5-14B-Instruct", "Q4_K_M", 8.37),
        ("qwen3-30b-a3b", "Q8_0", 30.25),
        ("qwen3-30b-a3b", "Q4_K_M", 17.35),
        ("gpt-oss-20b", "MXFP4_MOE", 11.27),
        ("gpt-oss-120b", "MXFP4_MOE", 59.02),
    ],
)
def test_mixes_come_out_as_llama_bench_printed_them(name: str, mix: str, gibibytes: float) -> None:
    """Sizes that llama-bench printed for published files, within half a per cent and rounding.

    Sources: llama.cpp discussions 4167 and 15396 and benches/mac-m2-ultra; geerlingguy/ai-benchmarks
    issues 34, 43 and 45; kyuz0/amd-r9700-ai-toolboxes docs/results.json.
    """
    entry = lookup(name)
    table = weigh(read_config(entry.config, name=entry.id), mix)
    assert table.total / 2**30 == pytest.approx(gibibytes, rel=0.005, abs=0.006)
    assert table.low / 2**30 <= gibibytes <= table.high / 2**30


@pytest.mark.requirement("FR-PLAN-CATALOGUE")
@pytest.mark.parametrize("name", [entry.id for entry in entries()])
def test_every_entry_can_be_read(name: str) -> None:
    """Each model of the catalogue becomes a spec with layers and a plausible number of parameters."""
    spec = read_config(lookup(name).config, name=name, file_format="catalogue")
    assert spec.layers or spec.encoder_layers
    assert spec.census.total > 10**6
