"""docs/export.md shows what the program prints."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from hwledger.planner.export import TARGETS

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "export.md"


def tool() -> ModuleType:
    """Return the script that writes the examples."""
    spec = importlib.util.spec_from_file_location("export_page", ROOT / "tools" / "export_page.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_the_examples_are_what_is_printed() -> None:
    """Every example is printed again and is the same; ``python tools/export_page.py`` writes them."""
    text = PAGE.read_text("utf-8")
    assert tool().page(text) == text


@pytest.mark.requirement("FR-EXPORT-TARGETS")
def test_every_target_has_an_example_and_a_row() -> None:
    """Each target is in the table, and a command on the page exports to it."""
    text = PAGE.read_text("utf-8")
    for name in TARGETS:
        assert f"| `{name}` |" in text
        assert f"--export {name}\n" in text
