"""What libllama itself would allocate for a command line: no weights are read and nothing large is allocated.

A script, run as a child: ``python -P llama_ask.py ANSWER WORD…``. The answer is one JSON object in the file
``ANSWER``: a list of devices, the host last, each with bytes of model, context and compute. Nothing of
hwledger is imported. A header that contradicts itself may end it by a signal: libllama asserts.

Sources: llama.cpp b11549 ``common/fit.cpp`` (``common_get_device_memory_data``: loads with ``no_alloc``,
reserves the graphs, sums the buffers by device) and ``common/fit.h`` (its answer: total, free, model,
context, compute, 64 bits each); llama-server asks for as many rows of logits as it has slots
(``tools/server/server-context.cpp``).
"""

import ctypes
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

ASK = (
    "_Z29common_get_device_memory_dataPKcPK18llama_model_paramsPK20llama_context_params"
    "RSt6vectorIP19ggml_backend_deviceSaIS9_EERjSD_SD_14ggml_log_level"
)
MODEL = "_Z28common_model_params_to_llamaR13common_params"
CONTEXT = "_Z30common_context_params_to_llamaRK13common_params"
WARNINGS = 3
"""``GGML_LOG_LEVEL_WARN``: what is printed while it loads."""
FIELDS = ("total", "free", "model", "context", "compute")
MOST_DEVICES = 64
LARGEST = 1 << 60
REFUSED = 2


class Settings(ctypes.Structure):
    """Room for settings of libllama, which are smaller; only libllama looks inside."""

    _fields_ = (("words", ctypes.c_uint64 * 512),)


class Vector(ctypes.Structure):
    """A ``std::vector``: where it begins, ends, and where its room ends."""

    _fields_ = (("begin", ctypes.c_void_p), ("end", ctypes.c_void_p), ("room", ctypes.c_void_p))


def server() -> Any:
    """Return the script beside this one, which has llama.cpp's own reader of its command line."""
    spec = spec_from_file_location("xllamacpp_server", Path(__file__).with_name("xllamacpp_server.py"))
    if spec is None or spec.loader is None:
        raise ImportError("xllamacpp_server.py is missing beside this script")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(package: Any, words: list[str]) -> list[dict[str, Any]] | None:
    """Return what each device would hold, the host last; ``None`` where llama.cpp refuses the words.

    Raises:
        AttributeError, ValueError: this build of the package is laid out otherwise.
    """
    reader = server()
    params = reader.parse(package, ["llama-server", *words])
    if params is None:
        return None
    params.no_alloc, params.n_outputs_max = True, params.n_parallel
    library = ctypes.CDLL(package.xllamacpp.__file__)
    at = ctypes.c_void_p(id(params) + reader.HEADER)
    model, context = (_settings(library, name, at) for name in (MODEL, CONTEXT))
    ask = getattr(library, ASK)
    ask.restype = Vector
    devices, counts = Vector(), [ctypes.c_uint32() for _ in range(3)]
    library.llama_backend_init()
    found = ask(
        params.model.path.encode(), ctypes.byref(model), ctypes.byref(context), ctypes.byref(devices),
        *map(ctypes.byref, counts), ctypes.c_int(WARNINGS),
    )  # fmt: skip
    return read(library, found, devices)


def _settings(library: Any, name: str, at: ctypes.c_void_p) -> Settings:
    convert = getattr(library, name)
    convert.restype = Settings
    made = convert(at)
    return made if isinstance(made, Settings) else Settings()


def read(library: Any, found: Vector, devices: Vector) -> list[dict[str, Any]]:
    """Return the answer, after looking that it lies as it is taken to lie.

    Raises:
        ValueError: it does not.
    """
    size, names = (found.end or 0) - (found.begin or 0), ((devices.end or 0) - (devices.begin or 0)) // 8
    width = 8 * len(FIELDS)
    if not found.begin or size != width * (names + 1) or names >= MOST_DEVICES:
        raise ValueError("its answer does not lie where it is expected")
    numbers = list((ctypes.c_int64 * (size // 8)).from_address(found.begin))
    if not all(0 <= number < LARGEST for number in numbers):
        raise ValueError("its answer holds what is no size")
    rows = [numbers[index : index + len(FIELDS)] for index in range(0, len(numbers), len(FIELDS))]
    said = [*_names(library, devices, names), "host"]
    return [
        {"device": name, **dict(zip(FIELDS, row, strict=True))} for name, row in zip(said, rows, strict=True)
    ]


def _names(library: Any, devices: Vector, count: int) -> list[str]:
    library.ggml_backend_dev_name.restype = ctypes.c_char_p
    places = (ctypes.c_void_p * count).from_address(devices.begin) if count else ()
    return [
        (library.ggml_backend_dev_name(ctypes.c_void_p(place)) or b"").decode("utf-8", "replace")
        for place in places
    ]


def main(words: list[str]) -> int:
    """Write the answer to the file that is named first."""
    import xllamacpp  # noqa: PLC0415 - optional

    try:
        found = asked(xllamacpp, words[1:])
    except (AttributeError, ValueError) as error:
        sys.stderr.write(f"xllamacpp {xllamacpp.__version__} cannot be asked: {error}\n")
        return REFUSED
    if found is None:
        return REFUSED
    Path(words[0]).write_text(json.dumps({"version": xllamacpp.__version__, "devices": found}), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
