"""What if: every effect is planned anew, and what is not known is said."""

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.errors import UnknownOptionError, UsageError
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import plan
from hwledger.planner.solve.power import plan_power_share
from hwledger.planner.solve.question import Question
from hwledger.planner.solve.whatif import chance_of, what_if
from hwledger.planner.throughput import estimate
from support.solving import question


def asked(engine: str = "vllm", device: str = "2x H100 SXM", model: str = "Qwen/Qwen3-32B") -> Question:
    """A question about a model of the catalogue at 16k tokens and 8 users."""
    return question(
        shipped_model(model), engine, parse_devices(device), context=16384, concurrency=8,
        estimator=lambda made, traffic: estimate(made, traffic, power_share=plan_power_share(made)),
    )  # fmt: skip


@pytest.mark.requirement("FR-SOLVE-WHAT-IF")
@pytest.mark.parametrize(
    ("text", "knobs"),
    [
        ("fp8-kv", {"kv_cache": "fp8"}),
        ("kv=fp8", {"kv_cache": "fp8"}),
        ("awq", {"weights": "awq"}),
        ("pp=2", {"options": {"pipeline_parallel_size": 2, "tensor_parallel_size": 1}}),
        ("context=32k", {"context": 32768}),
        ("users=2", {"concurrency": 2}),
        ("max_num_batched_tokens=4096", {"options": {"max_num_batched_tokens": 4096}}),
    ],
)
def test_each_effect_is_the_plan_that_the_change_gives(text: str, knobs: dict[str, object]) -> None:
    """Memory equals that of a plan made by hand with the change."""
    start = asked()
    base, changed = what_if(start, [text])
    by_hand = plan(
        start.request.spec, engine="vllm", devices=start.request.devices,
        **{"context": 16384, "concurrency": 8, **knobs},  # type: ignore[arg-type]
    )  # fmt: skip
    assert changed.measured.plan
    assert base.measured.plan
    assert changed.measured.plan.total_bytes == by_hand.total_bytes != base.measured.plan.total_bytes
    assert changed.quality


@pytest.mark.requirement("FR-SOLVE-WHAT-IF")
def test_changes_are_shown_alone_and_all_together() -> None:
    """The last one has every change at once, and is smaller than any alone."""
    effects = what_if(asked(), ["fp8-kv,awq", "prefix-cache=0.5"])
    assert [one.name for one in effects] == ["as it is", "fp8-kv", "awq", "prefix-cache=0.5", "all together"]
    totals = [one.measured.plan.total_bytes for one in effects if one.measured.plan]
    assert totals[-1] == min(totals)
    assert effects[-1].traffic
    assert effects[-1].traffic.cached_tokens == pytest.approx(effects[0].traffic.prompt_tokens / 2, abs=1)  # type: ignore[union-attr]


@pytest.mark.requirement("FR-SOLVE-WHAT-IF")
def test_a_cached_prefix_shortens_the_first_token_and_no_memory() -> None:
    """What is in the cache is not prefilled; that memory is counted in full is said."""
    base, cached = what_if(asked(), ["prefix-cache=60%"])
    assert cached.measured.plan
    assert base.measured.plan
    assert cached.measured.plan.total_bytes == base.measured.plan.total_bytes
    first, later = cached.measured.throughput, base.measured.throughput
    assert first
    assert later
    assert first.ttft_seconds
    assert later.ttft_seconds
    assert first.ttft_seconds.value < later.ttft_seconds.value
    assert "nobody shared a prefix" in cached.notes[0]


@pytest.mark.requirement("FR-SOLVE-WHAT-IF")
def test_drafting_takes_memory_and_says_where_its_acceptance_is_from() -> None:
    """A draft layer has a cache; the acceptance is stated, or published with its source."""
    base, drafted, stated = what_if(asked(), ["spec=eagle3", "spec=eagle3:2:0.9"])[:3]
    assert drafted.measured.plan
    assert base.measured.plan
    assert drafted.measured.plan.total_bytes > base.measured.plan.total_bytes
    assert "http" in drafted.notes[0]
    assert "0.90" in stated.notes[0]
    assert "as stated" in stated.notes[0]
    assert (stated.measured.users_per_second or 0) > (base.measured.users_per_second or 0)


@pytest.mark.requirement("FR-SOLVE-WHAT-IF")
def test_the_acceptance_of_an_accepted_length_is_its_inverse() -> None:
    """Halving finds the chance at which so many tokens are accepted on the average."""
    for chance in (0.1, 0.5, 0.65, 0.9):
        length = (1 - chance**8) / (1 - chance)
        assert chance_of(length, 7) == pytest.approx(chance, abs=1e-9)


@pytest.mark.requirement("FR-SOLVE-WHAT-IF")
def test_a_power_limit_slows_prompts_and_changes_no_memory() -> None:
    """The limit goes to the devices, and from there into the estimate."""
    base, limited = what_if(asked("llama.cpp", "L40S", "Qwen/Qwen3-8B"), ["power=250W"])
    assert limited.measured.cost.watts == 250
    assert limited.measured.throughput
    assert base.measured.throughput
    assert limited.measured.throughput.ttft_seconds
    assert base.measured.throughput.ttft_seconds
    assert limited.measured.throughput.ttft_seconds.value > base.measured.throughput.ttft_seconds.value


@pytest.mark.requirement("FR-SOLVE-WHAT-IF", "FR-SOLVE-QUALITY")
def test_what_is_not_known_of_quality_is_said() -> None:
    """A type without a published figure, and an option that nobody explained, are not called harmless."""
    base = asked("llama.cpp", "RTX 4090", "Qwen/Qwen3-8B")
    effects = what_if(base, ["q4_0-kv", "n_ubatch=256"])
    assert "not known" in effects[1].quality[0]
    assert "not known" in effects[2].quality[0]


@pytest.mark.requirement("FR-SOLVE-WHAT-IF", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "text",
    ["blah", "tp=two", "tp=0", "spec=magic", "spec=mtp", "spec=eagle3:3:7", "prefix-cache=2",
     "prefix-cache=x", "power=zero", "context=x", "users=0", "nothing=1", "", " , ", "a,b,c,d,e,f,g,h,i"],
)  # fmt: skip
def test_changes_that_cannot_be_read_end_in_a_sentence(text: str) -> None:
    """Each is a usage error, whatever is wrong with it."""
    with pytest.raises(UsageError) as caught:
        what_if(asked(), [text])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.requirement("FR-SOLVE-WHAT-IF")
def test_more_ranks_than_devices_take_more_of_the_last_device() -> None:
    """tp=4 on two cards is planned on four of them."""
    _, four = what_if(asked(), ["tp=4"])
    assert len(four.measured.request.devices) == 4


@pytest.mark.requirement("FR-SOLVE-WHAT-IF", "NFR-BAD-INPUT")
def test_an_engine_without_ranks_says_so() -> None:
    """llama.cpp has no tensor_parallel_size; its options are listed."""
    with pytest.raises(UnknownOptionError, match=r"llama\.cpp option"):
        what_if(asked("llama.cpp", "RTX 4090", "Qwen/Qwen3-8B"), ["tp=2"])


@pytest.mark.requirement("FR-SOLVE-WHAT-IF", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("engine", "device"), [("llama.cpp", "RTX 4090"), ("mlx", "M3 Ultra 256GB"), ("transformers", "L40S")]
)
@pytest.mark.parametrize("change", ["spec=eagle3", "spec=mtp:1:0.8"])
def test_drafting_is_refused_where_no_engine_of_the_plan_drafts(
    engine: str, device: str, change: str
) -> None:
    """One sentence on the engine, and no list of options that nobody typed."""
    start = question(shipped_model("Qwen/Qwen3-8B"), engine, parse_devices(device))
    with pytest.raises(UsageError, match=f"not planned on {engine}.*--engine vllm"):
        what_if(start, [change])
