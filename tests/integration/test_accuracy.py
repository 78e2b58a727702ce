"""The measurements that ship, replayed, stay as exact as docs/accuracy.md says."""

import pytest

from hwledger.accuracy import Summary, replay, summarise


@pytest.fixture(scope="module")
def summaries() -> dict[tuple[str, str], list[Summary]]:
    """Return the summaries of a full replay, by engine and component."""
    found: dict[tuple[str, str], list[Summary]] = {}
    for summary in summarise(replay()):
        found.setdefault((summary.engine, summary.component), []).append(summary)
    return found


@pytest.mark.requirement("FR-PLAN-ACCURACY", "FR-PLAN-KV", "FR-PLAN-STATE", "FR-PLAN-LLAMACPP")
def test_llama_cpp_caches_are_exact(summaries: dict[tuple[str, str], list[Summary]]) -> None:
    """Every measured context is exact to the byte, every real log within its print rounding."""
    for component in ("KV cache and state", "KV cache"):
        for summary in summaries["llama.cpp", component]:
            assert summary.exact == summary.count


@pytest.mark.requirement("FR-PLAN-ACCURACY", "FR-PLAN-LLAMACPP")
def test_compute_buffers_lie_in_their_intervals(summaries: dict[tuple[str, str], list[Summary]]) -> None:
    """In every regime the median error is at most 1 % and 80 % of the cases lie in the interval."""
    for summary in summaries["llama.cpp", "compute buffer"]:
        assert summary.median_error <= 0.01
        assert summary.inside is not None
        assert summary.inside >= 0.8


@pytest.mark.requirement("FR-PLAN-ACCURACY", "FR-PLAN-VLLM")
def test_vllm_capacities_and_weights_follow_the_logs(summaries: dict[tuple[str, str], list[Summary]]) -> None:
    """Nine in ten logs within print rounding, the worst within 1.5 %; loaded weights within 1 % and 3 %."""
    for component in ("tokens in the KV cache", "requests at full length"):
        (summary,) = summaries["vllm", component]
        assert summary.exact >= 0.9 * summary.count
        assert summary.worst_error <= 0.015
    (weights,) = summaries["vllm", "loaded weights"]
    assert weights.median_error <= 0.01
    assert weights.worst_error <= 0.03


@pytest.mark.requirement("FR-PLAN-ACCURACY", "FR-PLAN-PARAMETERS")
def test_parameters_are_exact_but_for_three_files(summaries: dict[tuple[str, str], list[Summary]]) -> None:
    """The three are built by transformers as another class: MiniCPM-MoE and the flat Step-3.7 files."""
    for component in ("total parameters", "active parameters"):
        (summary,) = summaries["model", component]
        assert summary.count - summary.exact == 3
