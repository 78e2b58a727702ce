"""Whether NVIDIA's driver library can be there: asked before anything is imported for it."""

import ctypes
import sys
from typing import Final

LIBRARY: Final = "libnvidia-ml.so.1"


def library_there() -> bool:
    """Return whether NVML can be there: on Linux, whether it can be loaded; never on macOS."""
    if sys.platform == "darwin":
        return False
    if not sys.platform.startswith("linux") or getattr(sys.modules.get("pynvml"), "nvmlLib", None):
        return True
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True
