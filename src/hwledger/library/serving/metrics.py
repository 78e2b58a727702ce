"""The labels of one metric in Prometheus' text format, read tolerantly."""

import re
from typing import Final

_LABEL: Final = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(?:,|(?=\}))')
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "\\": "\\", '"': '"'}
_LONGEST_LINE: Final = 64 << 10
_MOST: Final = 1024


def labels_of(text: str, metric: str) -> list[dict[str, str]]:
    """Return the labels of every sample of ``metric``; samples that are broken are left out.

    Order of the labels, blanks around them, missing HELP and TYPE lines and time stamps do not matter.
    """
    found: list[dict[str, str]] = []
    for line in text.split("\n"):
        start = line.strip()
        if not start.startswith(metric) or len(start) > _LONGEST_LINE:
            continue
        rest = start[len(metric) :].lstrip()
        labels = _labels(rest) if rest.startswith("{") else None
        if labels is not None and len(found) < _MOST:
            found.append(labels)
    return found


def _labels(text: str) -> dict[str, str] | None:
    """Return the labels between braces at the beginning of ``text``; ``None`` where they do not close."""
    at = 1
    found: dict[str, str] = {}
    while match := _LABEL.match(text, at):
        found[match[1]] = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), match[2])
        at = match.end()
    return found if text[at:].lstrip().startswith("}") else None
