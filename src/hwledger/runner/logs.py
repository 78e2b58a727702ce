"""Where what engines print is kept, and what they computed of prompts."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from hwledger.library.paths import cache_dir

KEPT_LOGS: Final = 20


def log_file(engine: str) -> Path:
    """Return the file for the next log of an engine; older ones beyond a few are deleted."""
    folder = cache_dir() / "runs"
    with contextlib.suppress(OSError):
        old = sorted(folder.glob(f"{engine}-*.log"), key=lambda path: path.stat().st_mtime)
        for path in old[: -KEPT_LOGS + 1]:
            path.unlink()
    return folder / f"{engine}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{time.monotonic_ns()}.log"


def prompts_folder() -> Path:
    """Return where prompt caches are kept."""
    return cache_dir() / "prompts"
