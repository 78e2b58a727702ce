"""``llama-server`` out of the xllamacpp wheel: llama.cpp's own reader of its command line, then its server.

Run as a program with the words of a command. It leaves with 2 where llama.cpp refuses them, and ends with its
standard input.
"""

import ctypes
import sys
from typing import Any

SERVER = 12
"""``LLAMA_EXAMPLE_SERVER`` in llama.cpp ``common/common.h``, b8672 to b11549."""
HEADER = 16
"""Bytes of a Python object before the ``common_params`` that xllamacpp keeps in it."""
PARSE = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"


def parse(words: list[str]) -> Any:
    """Return the settings that llama.cpp reads from a command line, or ``None`` where it refuses it."""
    import xllamacpp  # noqa: PLC0415 - optional

    read = getattr(ctypes.CDLL(xllamacpp.xllamacpp.__file__), PARSE)
    read.restype = ctypes.c_bool
    params = xllamacpp.CommonParams()
    argv = (ctypes.c_char_p * (len(words) + 1))(*[word.encode() for word in words], None)
    at = ctypes.c_void_p(id(params) + HEADER)
    return params if read(ctypes.c_int(len(words)), argv, at, ctypes.c_int(SERVER), None) else None


def main() -> int:
    """Serve what the words of the command line say until standard input ends."""
    params = parse(["llama-server", *sys.argv[1:]])
    if params is None:
        return 2
    import xllamacpp  # noqa: PLC0415 - optional

    server = xllamacpp.Server(params)
    sys.stdin.read()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())
