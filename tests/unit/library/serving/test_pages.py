"""Pages of metrics: every series of a good page, and of a damaged one all but the damaged."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.library.serving.metrics import LARGEST_PAGE, MOST_SERIES, read_page

pytestmark = pytest.mark.requirement("FR-TEL-METRICS-READER")
LEAST_SURVIVING = 0.9


def page_of(lines: int) -> str:
    """A page as engines write them: comments, gauges, counters, a histogram, blank lines."""
    text = []
    for number in range(lines):
        name = f"vllm:figure_{number % 7}"
        if number % 7 == 0:
            text += [f"# HELP {name} what it is, with a number: 12", f"# TYPE {name} gauge", ""]
        text.append(f'{name}{{engine="{number}",model_name="org/model",le="+Inf"}} {number}.5e+02')
    return "\n".join(text) + "\n"


@settings(deadline=None)
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), lines=st.integers(20, 60))
def test_a_damaged_byte_costs_at_most_two_lines(at: int, byte: int, lines: int) -> None:
    """Any byte anywhere in a page becomes any other: at least nine in ten of the series are as they were."""
    good = page_of(lines)
    before = {(each.name, tuple(each.labels.items()), each.value) for each in read_page(good).series}
    assert len(before) == lines
    raw = bytearray(good.encode())
    raw[at % len(raw)] = byte
    after = read_page(raw.decode("utf-8", "replace")).series
    kept = [each for each in after if (each.name, tuple(each.labels.items()), each.value) in before]
    assert len(kept) >= max(lines - 2, math.ceil(LEAST_SURVIVING * lines))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('a{b="c"} 1', 1.0), ("a 1", 1.0), ("a\t1", 1.0), ('a{b="c"}1', 1.0),
        ("a -2.5E-3 1790347303000", -0.0025),
        ("a 1e3 123.5", 1000.0), ('a{} 7 # {trace="x"} 0.5 1.5', 7.0), ("a .5", 0.5), ("a 5.", 5.0),
        ('{"a", b="c"} 2', 2.0), ('a{b="x\\"y", c="1\\n2",} +3', 3.0), ("  a 1  \r", 1.0),
    ],
)  # fmt: skip
def test_a_line_as_either_format_writes_it(line: str, value: float) -> None:
    """Blanks, stamps, exemplars, exponents, quoted names and trailing commas do not matter."""
    (series,) = read_page(line).series
    assert (series.name, series.value) == ("a", value)


@pytest.mark.parametrize("word", ["NaN", "+Inf", "-Inf", "Inf", "nan", "infinity"])
def test_no_number_is_no_value(word: str) -> None:
    """NaN and infinity are said by good pages; they are no measurements."""
    page = read_page(f'a{{le="+Inf"}} {word}')
    assert [(each.name, each.value) for each in page.series] == [("a", None)]
    assert page.damaged == 0


@pytest.mark.parametrize(
    "line",
    ["a", "a1", "a x", "a 1x", "a 0x10", "a 1 2 3", 'a{b="c" 1', "a{b=c} 1", 'a{b="c"}', "1 a", "a 1e999",
     "a 1_000", "a \u0661", "a " + "9" * 70, 'a{"x","y"} 1', 'a{b="c","y"} 1', "\x00\xff 1"],
)  # fmt: skip
def test_a_broken_line_is_counted_and_left_out(line: str) -> None:
    """Half lines, other digits, and numbers that no float holds give nothing, and the rest stands."""
    page = read_page(f"x 1\n{line}\ny 2\n")
    assert [each.name for each in page.series] == ["x", "y"]
    assert page.damaged == 1


def test_only_what_is_wanted_is_read() -> None:
    """Lines of other names are passed over; a longer name is another name."""
    page = read_page("a 1\nab 2\na_total 3\nb{\n", {"a", "c"})
    assert [(each.name, each.value) for each in page.series] == [("a", 1.0)]


def test_a_huge_page_is_cut() -> None:
    """More characters or series than any engine has are not read, and that is said."""
    assert read_page("a 1\n" * (MOST_SERIES + 5)).cut
    long = read_page("a" * (LARGEST_PAGE + 5))
    assert long.cut
    assert long.series == ()


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_junk_gives_no_number_that_is_not_there(junk: str) -> None:
    """Whatever a page holds, every value is one of its words."""
    for series in read_page(f"{junk}\na {junk}").series:
        words = junk.replace("}", "} ").split()
        assert series.value is None or any(_is(word, series.value) for word in words)


def _is(word: str, value: float) -> bool:
    try:
        return float(word) == value
    except ValueError:
        return False
