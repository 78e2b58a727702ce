"""Text that is damaged or meant to harm: no reader of engines raises, and none tells what is not there."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.telemetry.engines.formats import FORMATS
from support.engine_outputs import SEEDS, strangers

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KEYS = tuple(
    sorted(
        set(re.findall(r'"(\w+)":', "".join(SEEDS))) | {"data", "meta", "loaded_instances", "config", "state"}
    )
)


def check(text: str) -> None:
    """Read a text with every reader that knows it, and with those that do not."""
    for each in FORMATS:
        each.recognises(text)
        assert strangers(each.read(text), text) == []


@settings(deadline=None)
@given(seed=st.sampled_from(SEEDS), at=st.integers(0, 400), more=st.text(max_size=12), cut=st.integers(0, 12))
def test_damaged_outputs_never_raise(seed: str, at: int, more: str, cut: int) -> None:
    """A piece of an output is lost and another put in its place."""
    at %= len(seed)
    check(seed[:at] + more + seed[at + cut :])


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_never_raises(text: str) -> None:
    """Nothing that is no output makes trouble."""
    check(text)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6))
def test_any_json_under_known_keys_never_raises(reply: dict[str, Any]) -> None:
    """Values of the wrong kind, at any depth, are left out or said."""
    for shape in (reply, {"models": [reply]}, {"data": [reply]}, [reply]):
        check(json.dumps(shape))
