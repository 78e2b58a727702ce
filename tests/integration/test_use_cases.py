"""The use cases in app.py: what is given, what a command says, and what the user's own machine is."""

from pathlib import Path

import pytest

from hwledger.app import named_node, plan, speed
from hwledger.errors import UsageError
from support import tiny
from support.checkpoints import put

RIG = """
[[node]]
name = "rig"
devices = "2x RTX 3090"
host_memory = "128GiB"
host_bandwidth = "{bandwidth}GB/s"
"""


@pytest.mark.requirement("FR-SRC-COMMANDS")
def test_slots_share_the_trained_context(tmp_path: Path) -> None:
    """llama-server without -c has the trained context once, for all its slots, as with -c 0."""
    file = put(tmp_path, {"tiny.gguf": tiny.gguf_file()}) / "tiny.gguf"
    untold, zero, stated = (
        plan(f"llama-server -m {file}{extra}") for extra in ("", " -c 0", f" -c {tiny.CONTEXT}")
    )
    assert untold.by_category == zero.by_category == stated.by_category
    assert untold.memory.concurrency == 4
    two, other = (plan(f"llama-server -m {file} -np 2{extra}") for extra in ("", " -c 0"))
    assert two.by_category == other.by_category


@pytest.mark.requirement("FR-PLAN-CLI")
def test_zero_is_an_answer() -> None:
    """Zero requests or tokens are refused, and not taken for nothing said."""
    for ref in ("gpt2", "vllm serve gpt2"):
        with pytest.raises(UsageError, match="concurrency of 0"):
            plan(ref, concurrency=0)
        with pytest.raises(UsageError, match="context of 0"):
            plan(ref, context=0)


@pytest.mark.requirement("FR-DEVICES-OWN")
def test_the_host_of_a_node_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers in host memory are as fast as the memory of the node that was named."""
    file = tmp_path / "devices.toml"
    monkeypatch.setenv("HWLEDGER_DEVICES", str(file))
    found = []
    for bandwidth in (20, 800):
        file.write_text(RIG.format(bandwidth=bandwidth))
        made = plan(
            "meta-llama/Meta-Llama-3.1-8B", engine="llama.cpp", device="rig", options=["n_gpu_layers=8"]
        )
        node = named_node("rig")
        assert node
        rate = speed(made, node=node).decode_tokens_per_second
        assert rate
        found.append(rate.value)
    assert found[1] > 2 * found[0]
    assert named_node("RTX 3090") is None


@pytest.mark.requirement("FR-PLAN-FIT", "FR-PLAN-DEVICES")
def test_a_change_of_mixed_cards_names_them_as_they_are() -> None:
    """What is there already is listed card by card, before and after."""
    made = plan("Qwen/Qwen3-32B", engine="llama.cpp", device="RTX 3090, RTX 3080 10GB")
    assert made.fit
    change = next(change for change in made.fit.changes if change.kind == "devices")
    assert change.before == "RTX 3090, RTX 3080 10GB"
    assert change.after.startswith("RTX 3090, ")
