"""Engine options: names, values, refusals."""

import pytest

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.planner import options as o

KNOWN = {
    "n_ctx": o.Option(o.positive, "tokens", ("ctx_size",)),
    "flash_attn": o.Option(o.flag, "fast attention"),
    "tensor_split": o.Option(o.ratios, "shares"),
    "gpu_memory_utilization": o.Option(o.fraction, "share"),
    "split_mode": o.Option(o.choice("layer", "row"), "how"),
}


@pytest.mark.requirement("FR-PLAN-CLI")
def test_values_are_parsed_by_their_kind() -> None:
    """Sizes, flags, shares, fractions and words come out typed, under the canonical name."""
    given = [
        "ctx-size=128k",
        "flash_attn=on",
        "tensor_split=3,1",
        "gpu_memory_utilization=0.92",
        "split_mode=ROW",
    ]
    assert o.parse_options("x", KNOWN, given) == {
        "n_ctx": 131072,
        "flash_attn": True,
        "tensor_split": (3.0, 1.0),
        "gpu_memory_utilization": 0.92,
        "split_mode": "row",
    }


@pytest.mark.requirement("FR-PLAN-CLI")
def test_a_mapping_may_hold_typed_values() -> None:
    """The Python interface takes numbers, booleans and lists as they are."""
    given = {"n_ctx": 8192, "flash_attn": False, "tensor_split": [2, 1]}
    assert o.parse_options("x", KNOWN, given) == {
        "n_ctx": 8192,
        "flash_attn": False,
        "tensor_split": (2.0, 1.0),
    }


@pytest.mark.requirement("FR-PLAN-CLI")
def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    """The sentence lists what the engine knows."""
    with pytest.raises(UnknownOptionError, match=r"unknown x option 'nctx'; known: flash_attn, .*n_ctx"):
        o.parse_options("x", KNOWN, ["nctx=1"])


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "text",
    ["n_ctx", "=1", "n_ctx=0", "n_ctx=-1", "n_ctx=nan", "flash_attn=maybe", "tensor_split=0,0",
     "tensor_split=a", "tensor_split=nan", "gpu_memory_utilization=1.5", "gpu_memory_utilization=nan",
     "split_mode=all"],
)  # fmt: skip
def test_an_unusable_value_is_a_usage_error(text: str) -> None:
    """Each bad value ends in a UsageError, never in another exception."""
    with pytest.raises(UsageError):
        o.parse_options("x", KNOWN, [text])


@pytest.mark.requirement("NFR-BAD-INPUT")
def test_an_option_given_twice_is_refused() -> None:
    """Two values for one option, even under two spellings, are a contradiction."""
    with pytest.raises(UsageError, match="given twice"):
        o.parse_options("x", KNOWN, ["n_ctx=1", "ctx_size=2"])
