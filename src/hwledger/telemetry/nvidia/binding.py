"""nvidia-ml-py, loaded when it is first needed, and what its errors mean."""

from typing import Any, Final

from hwledger.telemetry.nvidia.facts import Failure, failure_of
from hwledger.telemetry.nvidia.present import library_there
from hwledger.telemetry.reading import Reason

UNINITIALISED: Final = 1
UNSUPPORTED: Final = 3
TOO_SMALL: Final = 7
LIBRARY_ABSENT: Final = 12
NO_FUNCTION: Final = 13
OTHER_VERSION: Final = 25
LOST: Final = frozenset({15, 16, 28})
"""Codes after which a device answers nothing more: off the bus, reset required, not found."""


class Binding:
    """The one door to NVML.

    Attributes:
        nvml: the module ``pynvml``; only after ``start``.
        errors: what its functions raise for what a driver says.
    """

    def __init__(self) -> None:
        self.nvml: Any = None
        self.errors: tuple[type[Exception], ...] = ()
        self._started = False

    def start(self) -> Failure | None:
        """Load the library and start it; return why that is not possible.

        Where there is no library at all, nvidia-ml-py is not even imported: most machines that have no
        NVIDIA device are told so within a millisecond.
        """
        if self._started:
            return None
        if not library_there():
            return failure_of(LIBRARY_ABSENT)
        import pynvml  # noqa: PLC0415 - start-up time

        self.nvml = pynvml
        self.errors = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError, UnicodeDecodeError, OSError)
        try:
            pynvml.nvmlInit()
        except self.errors as error:
            return self.failure(error)
        self._started = True
        return None

    def stop(self) -> None:
        """Let go of the library; a driver that is gone already is no trouble."""
        if self._started:
            self._started = False
            try:
                self.nvml.nvmlShutdown()
            except self.errors:
                return

    def failure(self, error: Exception) -> Failure:
        """Return what an error means; what is no error of NVML is text in no encoding, or a crash."""
        code = getattr(error, "value", None)
        if isinstance(code, int):
            return failure_of(code)
        if isinstance(error, self.nvml.NVMLLibraryMismatchError):
            return failure_of(NO_FUNCTION)
        return Failure(-1, Reason.UNPARSED, f"its answer is not understood ({error})")

    def function(self, name: str) -> Any:
        """Return a function of the library by its exact name.

        Raises:
            pynvml.NVMLError: ``NVML_ERROR_FUNCTION_NOT_FOUND``; one of ``errors``.
        """
        return self.nvml._nvmlGetFunctionPointer(name)  # noqa: SLF001 - it has no public door to versions

    def check(self, code: int) -> None:
        """Raise the error of a code that is not success."""
        if code:
            raise self.nvml.NVMLError(code)
