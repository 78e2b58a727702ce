"""docs/telemetry.md shows what the sources declare."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


def tool() -> ModuleType:
    """Return the script that writes the tables."""
    spec = importlib.util.spec_from_file_location("telemetry_page", ROOT / "tools" / "telemetry_page.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("FR-TEL-COVERAGE")
def test_the_tables_are_what_the_sources_declare() -> None:
    """Every table is made again and is the same; ``python tools/telemetry_page.py`` writes them."""
    text = (ROOT / "docs" / "telemetry.md").read_text("utf-8")
    assert tool().page(text) == text


@pytest.mark.requirement("FR-TEL-COVERAGE")
def test_no_cell_is_empty() -> None:
    """Each value in each setting has a source or a reason, for every vendor."""
    for vendor in ("NVIDIA", "AMD", "Apple", "Intel", "host"):
        for line in tool().coverage(vendor).splitlines()[2:]:
            assert all(cell.strip() for cell in line.strip("|").split("|")), line
