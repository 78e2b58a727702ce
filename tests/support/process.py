"""The command line in a process of its own."""

import os
import subprocess
import sys


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call hwledger in the environment of the test, without colours, on a terminal of 160 columns."""
    command = [sys.executable, "-m", "hwledger", *arguments]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "160"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
