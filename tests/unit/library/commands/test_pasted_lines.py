"""Command lines and snippets of documentation pages, model cards and issues, against what they run."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hwledger.errors import UsageError
from hwledger.library.commands import is_command, read_command
from hwledger.planner.engine import engine_profile
from hwledger.planner.options import parse_options

pytestmark = pytest.mark.requirement("FR-SRC-COMMANDS")

LINES: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("lines.toml").read_text("utf-8"))["line"]
FIELDS = (
    "engine", "engine_version", "revision", "context", "concurrency", "weights", "kv_cache",
)  # fmt: skip
READ = [line for line in LINES if "model" in line]
REFUSED = [line for line in LINES if "refused" in line]


def name_of(line: Mapping[str, Any]) -> str:
    """Return where a line was seen and how it begins."""
    return f"{line['seen']}: {line['command'].strip()[:30]}"


@pytest.mark.parametrize("line", READ, ids=name_of)
def test_a_pasted_line_is_planned_as_it_would_run(line: Mapping[str, Any]) -> None:
    """Model, engine, options, context and requests at once are those of the program; nothing else is set."""
    found = read_command(line["command"])
    assert is_command(line["command"])
    assert found.model == line["model"]
    assert {name: getattr(found, name) for name in FIELDS} == {name: line.get(name) for name in FIELDS}
    assert found.whole_context == line.get("whole_context", False)
    assert dict(found.options) == line.get("options", {})
    if found.engine:
        parse_options(found.engine, engine_profile(found.engine).options, dict(found.options))


@pytest.mark.parametrize("line", READ, ids=name_of)
def test_what_is_not_planned_of_a_pasted_line_is_said(line: Mapping[str, Any]) -> None:
    """One sentence for each flag that is left out and for each rule that stands in, and no other."""
    notes = read_command(line["command"]).notes
    said = line.get("said", [])
    assert len(notes) == len(said), notes
    for words, note in zip(said, notes, strict=True):
        assert note.startswith(words)


@pytest.mark.parametrize("line", REFUSED, ids=name_of)
def test_a_pasted_line_without_a_model_is_refused(line: Mapping[str, Any]) -> None:
    """A model that the text does not show is asked for in a sentence."""
    with pytest.raises(UsageError) as caught:
        read_command(line["command"])
    assert str(caught.value) == line["refused"]


def test_the_table_is_wide() -> None:
    """The table holds at least 150 lines, and each says where it was seen."""
    assert len(LINES) >= 150
    assert all(line["seen"] for line in LINES)
