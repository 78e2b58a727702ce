"""A short, deterministic run over mutated headers; long runs use the atheris harnesses beside it."""

import random

import pytest

from hwledger.errors import HwledgerError
from hwledger.library.files import BufferFile
from hwledger.library.gguf.reader import parse_gguf
from hwledger.library.gguf.spec import gguf_spec
from hwledger.library.safetensors.reader import parse_safetensors
from support.gguf_models import smallest
from support.gguf_writer import gguf

RUNS = 20_000
SAFETENSORS = b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"__metadata__":{"k":"v"}}'


def mutated(source: random.Random, raw: bytes) -> bytes:
    """Return ``raw`` with a few bytes changed, removed or repeated."""
    data = bytearray(raw)
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(data))
        match source.randrange(4):
            case 0:
                data[at] = source.randrange(256)
            case 1:
                del data[at : at + source.randint(1, 8)]
            case 2:
                data[at:at] = data[at : at + source.randint(1, 32)]
            case _:
                data[at : at + 8] = source.choice((b"\xff" * 8, bytes(8), b"\x00" * 7 + b"\x80"))
        if not data:
            break
    return bytes(data)


@pytest.mark.requirement("NFR-BAD-INPUT")
def test_mutated_gguf_headers_never_escape() -> None:
    """20,000 mutations of a small model's header give a model or one of our errors."""
    source, good = random.Random(7), gguf(*smallest(), data=False)
    for _ in range(RUNS):
        data = mutated(source, good)
        try:
            gguf_spec(parse_gguf(BufferFile(data, "fuzz")), "fuzz")
        except HwledgerError:
            continue


@pytest.mark.requirement("NFR-BAD-INPUT")
def test_mutated_safetensors_headers_never_escape() -> None:
    """20,000 mutations of a header give a header or one of our errors."""
    source = random.Random(7)
    for _ in range(RUNS):
        data = mutated(source, SAFETENSORS)
        try:
            parse_safetensors(data, 24, "fuzz")
        except HwledgerError:
            continue
