"""The command line in a process of its own."""

import os
import subprocess
import sys


def run(*arguments: str, columns: int = 160) -> subprocess.CompletedProcess[str]:
    """Call hwledger in the environment of the test, without colours, on a terminal of so many columns."""
    command = [sys.executable, "-m", "hwledger", *arguments]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": str(columns)}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
