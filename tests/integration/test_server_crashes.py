"""The server's own process, killed while users append over HTTP; ``make faults`` does it a thousand times."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.requirement("NFR-FLEET-CRASH"),
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
]
KILL = Path(__file__).parents[1] / "faults/kill_server.py"
TIMES = 8


def test_kills_in_mid_append_lose_nothing_and_do_nothing_twice() -> None:
    """What was answered is there under the same hashes; what was not is done once when asked for again."""
    done = subprocess.run(
        [sys.executable, KILL, "--times", str(TIMES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == TIMES
    assert found["acknowledged"] > TIMES // 2
    assert [found[name] for name in ("lost", "twice", "broken", "refused")] == [0, 0, 0, 0]
