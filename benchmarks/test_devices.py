"""How long it takes to know which device a name means."""

from collections.abc import Callable
from typing import Any

from hwledger.device.catalogue import parse_devices
from hwledger.device.names import Names
from hwledger.device.table import entries
from hwledger.errors import UnknownOptionError

Benchmark = Callable[..., Any]


def test_a_list_of_devices(benchmark: Benchmark) -> None:
    """A list with counts, memory sizes and options."""
    found = benchmark(parse_devices, "2x RTX 3090 power=250W, 4070 ti super 16g, DGX H100")
    assert len(found) == 11


def test_the_names_of_the_table(benchmark: Benchmark) -> None:
    """What the first name costs: the index of every spelling."""
    assert len(benchmark(Names.of, entries()).exact) > 300


def test_an_unknown_name_gets_the_nearest(benchmark: Benchmark) -> None:
    """The slowest answer: every reading fails, then the nearest names are looked for."""
    assert "RTX 4090" in str(benchmark(_refused, "RTX 4095"))


def _refused(name: str) -> str:
    try:
        parse_devices(name)
    except UnknownOptionError as error:
        return str(error)
    return ""
