"""Speculative decoding at a stated acceptance."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.device.catalogue import parse_devices
from hwledger.errors import UsageError
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import Figure, Speculation, Traffic, estimate

TRAFFIC = Traffic(prompt_tokens=512, output_tokens=128)


def dense() -> Plan:
    """Return a large dense model, which decoding reads whole for each token."""
    spec = shipped_model("meta-llama/Meta-Llama-3-70B-Instruct")
    return plan(spec, engine="llama.cpp", weights="Q4_K_M", devices=parse_devices("RTX PRO 6000 Blackwell"))


def decode(speculation: Speculation | None) -> Figure:
    """Return the decoding speed."""
    figure = estimate(dense(), replace(TRAFFIC, speculation=speculation)).decode_tokens_per_second
    assert figure is not None
    return figure


@pytest.mark.requirement("FR-SPEED-MODEL")
@given(acceptance=st.floats(0, 1), drafted=st.integers(1, 16))
def test_a_round_yields_what_leviathan_says(acceptance: float, drafted: int) -> None:
    """The sum of a^0 … a^g, which equation 1 of arXiv 2211.17192 closes."""
    wanted = sum(acceptance**power for power in range(drafted + 1))
    made = Speculation(acceptance=acceptance, drafted=drafted)
    assert made.tokens_per_round == pytest.approx(wanted)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_drafting_pays_by_its_acceptance() -> None:
    """Nothing taken is slower than not drafting, four in five taken is much faster; costly drafts less so."""
    plain = decode(None).value
    assert decode(Speculation(acceptance=0.0, drafted=4)).value < plain
    good = decode(Speculation(acceptance=0.8, drafted=4))
    assert good.value > 1.5 * plain
    assert good.basis is Basis.ASSUMED
    assert "3.36 tokens a round" in good.source
    assert decode(Speculation(acceptance=0.8, drafted=4, draft_share=0.2)).value < good.value


@pytest.mark.requirement("FR-SPEED-MODEL", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "wrong",
    [
        {"acceptance": 1.1},
        {"acceptance": float("nan")},
        {"drafted": 0},
        {"drafted": 65},
        {"draft_share": 2.0},
    ],
)
def test_impossible_drafting_is_refused(wrong: dict[str, float]) -> None:
    """One sentence."""
    with pytest.raises(UsageError):
        Speculation(**{"acceptance": 0.5, "drafted": 4, **wrong})  # type: ignore[arg-type]


@pytest.mark.requirement("FR-SPEED-MODEL", "NFR-BAD-INPUT")
def test_a_serving_engine_drafts_what_its_options_say() -> None:
    """One statement for every engine; where the options disagree, one sentence says how to set them."""
    served = plan(
        shipped_model("Qwen/Qwen3-8B"), engine="vllm", devices=parse_devices("H100 SXM"),
        options={"num_speculative_tokens": 3, "num_draft_layers": 1},
    )  # fmt: skip
    drafting = [
        estimate(served, replace(TRAFFIC, speculation=Speculation(acceptance=chance, drafted=3)))
        for chance in (0.2, 0.8)
    ]
    slow, fast = (one.decode_tokens_per_second for one in drafting)
    assert slow
    assert fast
    assert fast.value > 1.5 * slow.value
    with pytest.raises(UsageError, match="num_speculative_tokens=4"):
        estimate(served, replace(TRAFFIC, speculation=Speculation(acceptance=0.5, drafted=4)))
