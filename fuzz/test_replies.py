"""A short run of the mutated servers; ``python fuzz/replies.py 100000`` is the long one."""

import pytest
from replies import run


@pytest.mark.enable_socket
@pytest.mark.requirement("NFR-SRC-SAFE")
def test_mutated_replies_never_escape() -> None:
    """A thousand broken conversations: only our errors, in time, in bounds, and no token elsewhere."""
    found = run(1000)
    assert not found.wrong
    assert found.outcomes["read"] > 100
    assert found.grown_bytes < 200 << 20
