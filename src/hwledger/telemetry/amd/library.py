"""Loads ``amdsmi``, AMD's Python binding, without its printing or breaking anything.

The binding looks for ``libamd_smi.so`` while it is imported, prints where there is none, and then fails with
an error of its own making (amdsmi 7.0.2, amdsmi_wrapper.py): so the library is looked for first.
"""

import ctypes
import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from hwledger.telemetry.amd.facts import statuses
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.system import System

NAME: Final = "amdsmi"
LIBRARY: Final = "libamd_smi.so"
_ABSENT: Final = "the Python package amdsmi is not installed"


def load(system: System) -> Any:
    """Return the binding's module; an ``Absent`` where it or its library does not load."""
    try:
        spec = importlib.util.find_spec(NAME)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return Absent(Reason.ABSENT_TOOL, _ABSENT, NAME)
    if not any(_loads(place) for place in _places(system, Path(spec.origin).parent)):
        return Absent(Reason.ABSENT_TOOL, f"amdsmi is installed, and {LIBRARY} does not load", NAME)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 3.14, on the binding's own code
            return importlib.import_module(NAME)
    except Exception as error:  # noqa: BLE001 - a binding of another version than its library fails anyhow
        return Absent(Reason.ABSENT_TOOL, f"amdsmi does not load: {type(error).__name__}: {error}", NAME)


def _places(system: System, package: Path) -> Iterator[str]:
    """Yield where the binding looks for its library, in its order."""
    rocm = system.environ.get("ROCM_HOME") or system.environ.get("ROCM_PATH")
    if rocm:
        yield f"{rocm}/lib/{LIBRARY}"
    yield LIBRARY
    yield str(package / LIBRARY)
    yield f"{rocm or '/opt/rocm'}/lib/{LIBRARY}"


def _loads(place: str) -> bool:
    try:
        ctypes.CDLL(place)
    except OSError:
        return False
    return True


def asked(module: Any, name: str, *arguments: object) -> Any:
    """Return what a function of the binding answers; an ``Absent`` with the reason where it does not."""
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None:
        return Absent(Reason.UNSUPPORTED, f"this version of amdsmi has no {name}", NAME)
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever a binding raises is a reason, not the end
        return reason_of(error)


def reason_of(error: Exception) -> Absent:
    """Return an error of the binding as the reason why there is no value."""
    code = getattr(error, "err_code", None)
    told = " ".join(str(error).split())[:200] or type(error).__name__
    known = statuses().get(abs(code), Reason.UNPARSED) if isinstance(code, int) else Reason.UNPARSED
    return Absent(known, told, NAME)


def choice(module: Any, kind: str, name: str) -> Any:
    """Return a value of one of the binding's enumerations; ``None`` where this version has none."""
    return getattr(getattr(module, kind, None), name, None)
