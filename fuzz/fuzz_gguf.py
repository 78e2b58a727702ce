"""Coverage-guided fuzzing of the GGUF reader: ``pip install atheris; python fuzz/fuzz_gguf.py CORPUS``."""

import sys

import atheris

with atheris.instrument_imports():
    from hwledger.errors import HwledgerError
    from hwledger.library.files import BufferFile
    from hwledger.library.gguf.reader import parse_gguf
    from hwledger.library.gguf.spec import gguf_spec


def one(data: bytes) -> None:
    """Read one input; anything but one of our errors is a finding."""
    try:
        gguf_spec(parse_gguf(BufferFile(data, "fuzz")), "fuzz")
    except HwledgerError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
