"""``llama-server`` out of the xllamacpp package: llama.cpp's own reader of its command line, then its server.

A script, run as a child: ``python -P xllamacpp_server.py WORD…``. It leaves with 2 where llama.cpp refuses
the words, ends with its standard input, and imports nothing of hwledger.

The package reads no command lines itself. llama.cpp's reader is in its library; it is given the settings that
the package keeps in its own object, after looking that they lie where they are taken to lie.
"""

import ctypes
import sys
from typing import Any

SERVER = 12
"""``LLAMA_EXAMPLE_SERVER`` in llama.cpp ``common/common.h``, b8672 to b11549."""
HEADER = 16
"""Bytes of a Python object before the ``common_params`` that xllamacpp keeps in it."""
PARSE = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"
REFUSED = 2
PROBE = 0x5EED


def lies_as_expected(params: Any) -> bool:
    """Whether the settings begin behind the header: their first field, ``n_predict``, is looked at there."""
    before, params.n_predict = params.n_predict, PROBE
    seen = ctypes.c_int32.from_address(id(params) + HEADER).value
    params.n_predict = before
    return seen == PROBE and ctypes.c_int32.from_address(id(params) + HEADER).value == before


def parse(package: Any, words: list[str]) -> Any:
    """Return the settings that llama.cpp reads from a command line, or ``None`` where it refuses it.

    Raises:
        AttributeError, ValueError: this build of the package is laid out otherwise.
    """
    read = getattr(ctypes.CDLL(package.xllamacpp.__file__), PARSE)
    read.restype = ctypes.c_bool
    params = package.CommonParams()
    if not lies_as_expected(params):
        raise ValueError("its settings do not lie where they are expected")
    argv = (ctypes.c_char_p * (len(words) + 1))(*[word.encode() for word in words], None)
    at = ctypes.c_void_p(id(params) + HEADER)
    return params if read(ctypes.c_int(len(words)), argv, at, ctypes.c_int(SERVER), None) else None


def main(words: list[str]) -> int:
    """Serve what the words say until the standard input ends."""
    import xllamacpp  # noqa: PLC0415 - optional

    try:
        params = parse(xllamacpp, ["llama-server", *words])
    except (AttributeError, ValueError) as error:
        sys.stderr.write(f"xllamacpp {xllamacpp.__version__} cannot be told the plan's flags: {error}\n")
        return REFUSED
    if params is None:
        return REFUSED
    server = xllamacpp.Server(params)
    sys.stdin.read()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
