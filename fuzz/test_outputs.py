"""A short run over damaged outputs; ``fuzz/outputs.py`` is the long one."""

import pytest
from damage import survived
from outputs import run
from texts import TEXTS

from hwledger.telemetry.recorded import formats


@pytest.mark.requirement("NFR-TEL-HOSTILE")
def test_every_text_is_known() -> None:
    """What is damaged is of kinds that are read, so that the run does not pass by reading nothing."""
    known = {each.name for text in TEXTS for each in formats() if each.recognises(text)}
    assert all(any(each.recognises(text) for each in formats()) for text in TEXTS)
    assert len(known) >= 20


@pytest.mark.requirement("NFR-TEL-HOSTILE")
def test_no_damage_raises_or_invents() -> None:
    """5,000 damaged outputs raise nothing and give no number that they do not hold."""
    found = run(5000, 7)
    assert found.wrong == []
    assert found.told > 1000


@pytest.mark.requirement("NFR-TEL-HOSTILE")
def test_one_damaged_byte_loses_at_most_two_series() -> None:
    """A page of 60 series with help, labels, stamps and an exemplar, damaged at every place: 58 survive."""
    lines = [f'vllm:requests{{engine="{n}",model="a/b"}} {n * 1.5} 1700000000\n' for n in range(20)]
    lines += [f"# HELP x_{n} what it is\n# TYPE x_{n} gauge\nx_{n} {n}e3\n" for n in range(20)]
    lines += [f'y_bucket{{le="{n}"}} {n} # {{trace="t{n}"}} 0.5\n' for n in range(20)]
    left = survived("a page", "".join(lines))
    assert left.series == 60
    assert left.damages > 30_000
    assert left.most_lost == 2
