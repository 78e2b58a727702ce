"""Lists at the width of the terminal: short columns stay whole, and what is left out is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.cli.output import acts_on_escapes
from hwledger.cli.table import wrapped, write_table
from hwledger.screens.column import Column
from hwledger.screens.layout import cells, layout
from hwledger.screens.models import CATALOGUE_COLUMNS, HUB_COLUMNS, LOCAL_COLUMNS

pytestmark = pytest.mark.requirement("FR-PLAN-CLI")
LONG = "hf:a-publisher/a-model-with-a-long-name-Instruct-2507-GGUF:UD-Q4_K_XL"
CATALOGUE = (LONG, "qwen3_5_moe_text", "30.53 B", "3.353 B", "48 full", "256k")
HUB = (LONG, "transformers", "image-text-to-text", "123,456,789", "12,345", "2026-01-31", "yes")
FIT = "does not fit, needs 1,234.56 GiB; adapter of a/b"
LOCAL = (LONG, "hub cache (mlx)", "qwen3_5_moe_text", "30.53 B", "compressed", "17.12 GiB", FIT)
ROWS = {
    "catalogue": (CATALOGUE_COLUMNS, CATALOGUE), "hub": (HUB_COLUMNS, HUB), "local": (LOCAL_COLUMNS, LOCAL),
}  # fmt: skip


def drawn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, width: int | None
) -> list[str]:
    """Return the lines of one list at a width."""
    columns, row = ROWS[name]
    if width is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    write_table(columns, [row, row])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_list_fits_its_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, width: int
) -> None:
    """Every short text stands whole or its column is left out and named; the first and last stay."""
    lines = drawn(capsys, monkeypatch, name, width)
    columns, row = ROWS[name]
    note = "\n".join(lines).partition("not shown at this width: ")[2].replace("\n", " ")
    left_out = note.split(", ")
    assert max(map(cells, lines)) <= width
    for column, text in zip(columns, row, strict=True):
        shown = any(text in line for line in lines)
        assert column.wraps or shown != (column.name in left_out)
    assert columns[0].name in lines[1]
    assert width < 200 or not note
    assert width > 60 or name != "local" or "on disk" not in left_out


def test_a_pipe_has_a_line_a_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal nothing is left out or broken: other programs read it."""
    lines = drawn(capsys, monkeypatch, "local", None)
    assert len([line for line in lines if line.startswith(LONG)]) == 2
    assert all(text in lines[3] for text in ROWS["local"][1])


@given(st.text(max_size=60), st.integers(2, 30))
def test_wrapping_loses_nothing_and_keeps_the_width(text: str, width: int) -> None:
    """Broken at spaces, longer words anywhere; joined again it is the text."""
    lines = wrapped(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cells(line) <= width for line in lines)


@given(st.lists(st.text("ab", max_size=90), min_size=3, max_size=3), st.integers(40, 150))
def test_any_layout_is_within_the_width(row: list[str], width: int) -> None:
    """Columns go in the order of their rank."""
    columns = (Column("name", wraps=True), Column("kind", rank=2), Column("note", rank=1, wraps=True))
    kept, widths = layout(columns, [row], width)
    assert sum(widths) + 2 * (len(widths) - 1) <= width
    assert 0 in kept


def test_what_a_terminal_would_obey_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Names from elsewhere move no cursor."""
    write_table((Column("name"),), [("\x1b[2Jx\udcff",)])
    assert r"\x1b[2Jx\xff" in capsys.readouterr().out


def test_what_is_left_out_is_named_within_the_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long lists of columns take several lines; a column without a name, such as a bar, is not mentioned."""
    monkeypatch.setenv("COLUMNS", "30")
    many = [Column(f"{number}: a card", rank=number) for number in range(16)]
    write_table(many, [["x"] * 16])
    assert all(len(line) <= 30 for line in capsys.readouterr().out.splitlines())
    write_table((Column("name"), Column("", rank=1)), [("n" * 20, "█" * 20)])
    assert "not shown" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("platform", "environ", "obeys"),
    [
        ("linux", {"TERM": "xterm-256color"}, True),
        ("linux", {"TERM": "dumb"}, False),
        ("win32", {}, False),
        ("win32", {"WT_SESSION": "1"}, True),
        ("darwin", {}, True),
    ],
)
def test_escapes_are_written_where_a_terminal_obeys_them(
    platform: str, environ: dict[str, str], *, obeys: bool
) -> None:
    """Windows' old console would print them."""
    assert acts_on_escapes(platform, environ) is obeys
