"""The contract of the engine port; every installed profile is held to it."""

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.errors import UsageError
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import EngineProfile, engine_names, engine_profile
from hwledger.planner.memory import Category
from hwledger.planner.plan import Plan, make_request, plan_request

MODELS = (
    "meta-llama/Meta-Llama-3.1-8B",
    "deepseek-ai/DeepSeek-V3",
    "google/gemma-3-12b-it",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "mistralai/Mamba-Codestral-7B-v0.1",
)


@pytest.fixture(params=engine_names())
def profile(request: pytest.FixtureRequest) -> EngineProfile:
    """Each installed profile, found through its entry point."""
    return engine_profile(request.param)


@pytest.fixture(params=MODELS, scope="module")
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    """One model of each kind."""
    return open_model(request.param)


def plan_of(spec: ModelSpec, profile: EngineProfile, context: int, users: int, device: str = "") -> Plan:
    """Plan with nothing but a workload."""
    devices = parse_devices(device) if device else ()
    return plan_request(
        make_request(spec, profile, context=context, concurrency=users, devices=devices), profile
    )


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_all_profiles_are_installed() -> None:
    """The built-in engines register through the group that third parties use."""
    assert {"vllm", "llama.cpp", "mlx", "transformers"} <= set(engine_names())


class TestEngineProfile:
    """What every engine profile guarantees."""

    @pytest.mark.requirement("FR-PLAN-CLI")
    def test_it_is_an_engine_profile(self, profile: EngineProfile) -> None:
        """It has all that the port asks for."""
        assert isinstance(profile, EngineProfile)

    @pytest.mark.requirement("FR-PLAN-CLI")
    def test_its_newest_version_is_one_it_accepts(self, profile: EngineProfile) -> None:
        """The default version passes the check, unchanged."""
        assert profile.check_version(profile.newest) == profile.newest

    @pytest.mark.requirement("NFR-BAD-INPUT")
    @pytest.mark.parametrize("version", ["nonsense", "", "-1", "1..2", "\x00"])
    def test_what_is_no_version_is_a_usage_error(self, profile: EngineProfile, version: str) -> None:
        """A text that is no version of the engine is refused."""
        with pytest.raises(UsageError):
            profile.check_version(version)

    @pytest.mark.requirement("FR-PLAN-KV", "FR-PLAN-STATE")
    def test_layers_add_up_to_the_totals(self, profile: EngineProfile, spec: ModelSpec) -> None:
        """Cache and state of the layers never exceed the components, which may add padding."""
        plan = plan_of(spec, profile, 8192, 2)
        assert len(plan.layers) == len(spec.layers)
        kept = sum(layer.kv_cache_bytes + layer.state_bytes for layer in plan.layers)
        planned = plan.by_category[Category.KV_CACHE] + plan.by_category[Category.STATE]
        assert 0 < kept <= planned

    @pytest.mark.requirement("FR-PLAN-KV")
    def test_more_work_never_takes_less_cache(self, profile: EngineProfile, spec: ModelSpec) -> None:
        """Cache grows, or stays, with the context and with the users."""
        sizes = [
            plan.by_category[Category.KV_CACHE] + plan.by_category[Category.STATE]
            for plan in (plan_of(spec, profile, c, u) for c, u in ((1024, 1), (8192, 1), (8192, 4)))
        ]
        assert sizes == sorted(sizes)

    @pytest.mark.requirement("FR-PLAN-FIT")
    def test_every_figure_says_where_it_is_from(self, profile: EngineProfile, spec: ModelSpec) -> None:
        """Components have a source, a place that exists, and an interval around the figure."""
        plan = plan_of(spec, profile, 8192, 2, "H200, H200")
        for component in plan.memory.components:
            low, high = component.interval_bytes
            assert component.source
            assert component.place < 2
            assert 0 <= low <= component.size_bytes <= high

    @pytest.mark.requirement("FR-PLAN-JSON")
    def test_the_same_question_has_the_same_answer(self, profile: EngineProfile, spec: ModelSpec) -> None:
        """Planning is deterministic."""
        assert plan_of(spec, profile, 4096, 3).memory == plan_of(spec, profile, 4096, 3).memory
