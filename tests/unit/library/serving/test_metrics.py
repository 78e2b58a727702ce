"""Labels of one metric in Prometheus' text format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.library.serving.metrics import labels_of

pytestmark = pytest.mark.requirement("FR-SRC-ENGINE")
METRIC = "vllm:cache_config_info"


def test_labels_with_escapes_and_blanks() -> None:
    """Quotes, backslashes, line ends, commas and braces within a value; blanks and a comma at the end."""
    line = METRIC + ' { a="x\\"y" , b="\\\\n",c="1\\n2",d="},{", } 1.0 1790347303000\r\n'
    assert labels_of(line, METRIC) == [{"a": 'x"y', "b": "\\n", "c": "1\n2", "d": "},{"}]


def test_other_lines_do_not_count() -> None:
    """Comments, longer names, samples without labels and broken ones are left out."""
    text = f'# HELP {METRIC} x\n{METRIC}_more{{a="1"}} 1\n{METRIC} 1\n{METRIC}{{a="1" 1\n{METRIC}{{a=1}} 1\n'
    assert labels_of(text, METRIC) == []
    assert labels_of(text + METRIC + "{} 1", METRIC) == [{}]


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), max_size=5))
def test_every_value_survives(labels: dict[str, str]) -> None:
    """What the format writes comes back, whatever the values hold."""
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for key, value in labels.items()
    }
    inner = ",".join(f'{key}="{value}"' for key, value in escaped.items())
    assert labels_of(f"{METRIC}{{{inner}}} 1.0", METRIC) == [labels]


@given(st.text(max_size=200))
def test_junk_gives_nothing_worse_than_nothing(junk: str) -> None:
    """Any text after the name of the metric is read without an error."""
    for found in labels_of(f"{METRIC}{{{junk}\n{METRIC}{junk}", METRIC):
        assert all(isinstance(value, str) for value in found.values())
