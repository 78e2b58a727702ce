"""Files that a pasted text writes before its command reads them: ``cat << EOF > config.yaml``."""

import re
from typing import Final

from hwledger.library.commands.draft import Draft

_HEREDOC: Final = re.compile(
    r"^[ \t]*(?:sudo +)?(?:cat|tee)\b([^\n<]{0,200})<<-? ?[\"']?(\w{1,40})[\"']?([^\n]{0,200})\n"
    r"((?:(?![ \t]*\2[ \t]*$)[^\n]*\n){0,400})[ \t]*\2[ \t]*$",
    re.MULTILINE,
)
_TARGET: Final = re.compile(r"(?:>>?|tee(?: -a)?|^) *([\w./~${}-]{1,200})")
_SETTING: Final = re.compile(r"( *)([\w.-]{1,80}): *(.*?)(?: +#.*)?")
_FILE: Final = "file "


def written(text: str) -> tuple[str, dict[str, str]]:
    """Return ``text`` without the files that it writes, and their contents as variables of a command."""
    if "<<" not in text:
        return text, {}
    found: dict[str, str] = {}
    for match in _HEREDOC.finditer(text):
        if target := _TARGET.search(f"{match[1]} {match[3]}".strip()):
            found[_FILE + target[1]] = match[4]
    return _HEREDOC.sub("", text), found


def flags_of(draft: Draft, path: str) -> list[str] | None:
    """Return the settings of a file that the text writes, as flags; ``None`` where it writes no such file.

    Settings of settings become one name: a ``dtype`` below ``kv_cache_config`` is
    ``--kv_cache_config.dtype=fp8``.
    """
    content = draft.call.env.get(_FILE + path)
    if content is None:
        return None
    flags: list[str] = []
    outer: list[tuple[int, str]] = []
    for line in content.split("\n"):
        if (found := _SETTING.fullmatch(line.rstrip())) is None:
            continue
        outer = [(column, name) for column, name in outer if column < len(found[1])]
        name = ".".join([*(name for _, name in outer), found[2]])
        value = found[3].strip().strip("\"'")
        if not value:
            outer.append((len(found[1]), found[2]))
        elif value.lower() != "false":
            flags.append(f"--{name}" if value.lower() == "true" else f"--{name}={value}")
    return flags
