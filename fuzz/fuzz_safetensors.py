"""Coverage-guided fuzzing of the safetensors reader; needs atheris: ``python fuzz/fuzz_safetensors.py``."""

import sys

import atheris

with atheris.instrument_imports():
    from hwledger.errors import HwledgerError
    from hwledger.library.safetensors.reader import parse_safetensors


def one(data: bytes) -> None:
    """Read one input; anything but one of our errors is a finding."""
    try:
        parse_safetensors(data[1:], data[0] if data else 0, "fuzz")
    except HwledgerError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
