"""What people copy along with a name: quotes, brackets, a link's text, punctuation."""

import re
from typing import Final

_LINK: Final = r"\[[^\]]{0,300}\]\(([^()\s]{1,2000})\)"
_AROUND: Final = (
    ("<", ">"),
    ("(", ")"),
    ("\u201c", "\u201d"),
    ("\u2018", "\u2019"),
    *((c, c) for c in "'\"`*"),
)
_BEHIND: Final = ",;.!?\u2026"


def tidied(text: str) -> str:
    """Return a name or an address without what surrounds it in running text.

    ``<https://…>``, ``'org/name'``, ``[title](https://…)``, ``org/name,`` and ``org/name/`` lose what is not
    theirs; a text that is nothing but such marks stays as it is.
    """
    found = text.strip()
    for _ in range(4):
        before = found
        link = re.fullmatch(_LINK, found) if found.startswith("[") else None
        found = str(link[1]) if link else found.rstrip(_BEHIND).strip()
        for first, last in _AROUND:
            if len(found) > 2 and found.startswith(first) and found.endswith(last):  # noqa: PLR2004 - the marks
                found = found[1:-1].strip()
        if found == before:
            break
    slashed = found.rstrip("/")
    return slashed or text.strip()
