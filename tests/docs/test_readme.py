"""README.md shows what the program prints."""

import shlex
from pathlib import Path

import pytest

from hwledger.cli import run as call

README = Path(__file__).parent.parent.parent / "README.md"


@pytest.mark.requirement("FR-PLAN-FIT")
def test_the_plan_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The plan under "A real plan" is printed again and is the same, to the line on what is not modelled."""
    shown = README.read_text("utf-8").split("## A real plan\n```\n$ hwledger ")[1].split("\n```")[0]
    words, _, expected = shown.replace("\\\n", " ").partition("\n")
    assert call(shlex.split(words)) == 3
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip("\n").split("\n"))
    assert printed.split("\nRead: ")[0] == expected
