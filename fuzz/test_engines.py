"""A short run over damaged outputs of engines; ``python fuzz/engines.py 1000000`` runs a long one."""

import pytest
from engines import run


@pytest.mark.requirement("FR-TEL-METRICS-READER")
def test_damaged_outputs_of_engines_tell_nothing_that_is_not_there() -> None:
    """Five thousand mutations of pages, replies and logs: nothing raised, no number made up."""
    found = run(5_000, seed=3)
    assert found.cases == 5_000
    assert found.wrong == []
