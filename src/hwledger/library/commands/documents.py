"""Files that say what a container runs: compose and Kubernetes YAML, and what a Dockerfile ends with.

They are read leniently, as fragments people paste: by the keys that matter and their indentation.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from hwledger.library.commands.shell import join_lines, split

_KEY: Final = re.compile(
    r"( {0,60}(?:- +)?)[\"']?(image|command|args|entrypoint|environment|env|volumes|cmd)[\"']?:(?: +(.*))?",
)
_ITEM: Final = re.compile(r"( *)-(?: +(.*)|$)")
_PAIR: Final = re.compile(r"[\"']?([A-Za-z_]\w{0,60})[\"']?: +(.*)")
_COMMENT: Final = re.compile(r"(?:^| )#.*$")
_BLOCK: Final = re.compile(r"[|>][-+\d]{0,2}(?: +#.*)?")
_FLOW: Final = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)'|([^,\[\]\"'\s][^,\[\]\n]*)")
_IMAGE_FILE: Final = re.compile(r"(FROM|ENTRYPOINT|CMD|ENV)\s+(.*)")
_SHIPPED_STAGE: Final = re.compile(r"^(?:--platform=\S+ +)?(\S+)(?: +[Aa][Ss] +\S+)?$")
_STARTING: Final = frozenset({"image", "command", "args", "entrypoint", "cmd"})
_MOST: Final = 50
_LONGEST_LIST: Final = 500


@dataclass(slots=True)
class Container:
    """One container: its image, and the words it is started with.

    Attributes:
        column: where its keys begin.
        adrift: its first key lost its indentation when it was copied.
        image: name and tag; empty where the text shows none.
        entrypoint, command, args: words, in the order in which they follow one another.
        env: ``NAME=VALUE`` texts.
        volumes: ``OUTSIDE:INSIDE`` texts.
    """

    column: int = 0
    adrift: bool = False
    image: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    @property
    def started(self) -> bool:
        """Whether it says what is started."""
        return bool(self.image or self.command or self.args or self.entrypoint)

    def words(self) -> list[str]:
        """Return the words of ``docker run`` that start the same container."""
        inner = [*self.entrypoint, *self.command, *self.args]
        if inner and inner == self.args and _of_kserve(inner):
            inner = ["huggingfaceserver", *inner]
        if not self.image:
            return [*(text for text in self.env if "=" in text), *inner]
        flags = [word for text in self.env for word in ("-e", text)]
        flags += [word for text in self.volumes for word in ("-v", text)]
        return ["docker", "run", *flags, self.image, *inner]


def _of_kserve(args: Sequence[str]) -> bool:
    """Whether arguments without a program are those of KServe's own server."""
    return any(word.startswith(("--model_id", "--model_dir")) for word in args)


def containers(text: str) -> list[list[str]]:
    """Return the command of each container that ``text`` describes, as words of ``docker run``."""
    lines = text.split("\n")
    found = [*islice(_described(lines), _MOST), *_built(text)]
    return [one.words() for one in found if one.started]


def _described(lines: Sequence[str]) -> Iterator[Container]:
    """Containers of YAML: keys in one column, until a line further left or the next item of the list."""
    current: Container | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        key = _KEY.fullmatch(line.rstrip())
        column = len(key[1]) if key else _indent(line)
        if current and line.strip() and (column < current.column or _next_item(line, current)):
            yield current
            current = None
        if current and current.adrift and key:
            current.column, current.adrift = column, False
        if current and key and column > current.column and not current.started and key[2] in _STARTING:
            current = None  # volumes of a whole pod
        if key is None or (current and column > current.column):
            at += 1
            continue
        current = current or Container(column, adrift=at == 0 and column == 0)
        at = _enter(current, str(key[2]), lines, at, column)
    if current:
        yield current


def _next_item(line: str, current: Container) -> bool:
    return line.lstrip().startswith("- ") and _indent(line) < current.column


def _enter(one: Container, key: str, lines: Sequence[str], at: int, column: int) -> int:
    """Enter the value of a key and return the line after it."""
    value, after = _value(lines, at, column)
    if key == "image":
        one.image = value if isinstance(value, str) else ""
    elif key in {"environment", "env"}:
        one.env += _variables(value)
    elif key == "volumes":
        one.volumes += [
            text for text in _listed(value) if ":" in text and not text.startswith(("name:", "type:"))
        ]
    else:
        words = _words(value)
        target = "command" if key == "cmd" else key
        setattr(one, target, [*getattr(one, target), *words])
    return after


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else []


def _words(value: str | list[str]) -> list[str]:
    """Words of a list, or of a text that is split as a shell does."""
    if isinstance(value, list):
        return value
    commands = split(" ".join(join_lines(value).split("\n")))
    return commands[0].words if commands else []


def _variables(value: str | list[str]) -> list[str]:
    """``NAME=VALUE`` of a list, of a mapping, or of pairs ``name:`` and ``value:``."""
    told: list[str] = []
    name = ""
    for text in _listed(value):
        pair = _PAIR.fullmatch(text)
        if pair is None:
            told += [text] if "=" in text else []
        elif pair[1] == "name":
            name = _scalar(pair[2])
        elif pair[1] == "value" and name:
            told.append(f"{name}={_scalar(pair[2])}")
            name = ""
        else:
            told.append(f"{pair[1]}={_scalar(pair[2])}")
    return told


def _value(lines: Sequence[str], at: int, column: int) -> tuple[str | list[str], int]:
    """The value of the key on line ``at``, a text or those of a list or mapping, and the line after it."""
    found = _KEY.fullmatch(lines[at].rstrip())
    rest = (found[3] or "").strip() if found else ""
    if rest.startswith("["):
        return _flow(lines, at, rest)
    if _BLOCK.fullmatch(rest):
        return _folded(lines, at + 1, column)
    if rest and not rest.startswith("#"):
        return _plain(lines, at + 1, column, rest)
    return _items(lines, at + 1, column)


def _flow(lines: Sequence[str], at: int, rest: str) -> tuple[list[str], int]:
    """``[a, "b", 'c']``, which may go over several lines."""
    texts = [rest]
    while (
        "]" not in _COMMENT.sub("", texts[-1]).rstrip()[-1:]
        and at + 1 < len(lines)
        and len(texts) < _LONGEST_LIST
    ):
        at += 1
        texts.append(lines[at].strip())
    inner = "\n".join(text if '"' in text or "'" in text else _COMMENT.sub("", text) for text in texts)
    inner = inner.strip().removeprefix("[").rstrip().removesuffix("]")
    return [_quoted(found) for found in _FLOW.finditer(inner)], at + 1


def _quoted(found: re.Match[str]) -> str:
    if found[1] is not None:
        return _unescaped(found[1])
    return found[2].replace("''", "'") if found[2] is not None else found[3].strip()


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _inner(lines: Sequence[str], at: int, column: int) -> int:
    """The line after those that are indented further than ``column``."""
    while at < len(lines) and (not lines[at].strip() or _indent(lines[at]) > column):
        at += 1
    return at


def _folded(lines: Sequence[str], at: int, column: int) -> tuple[str, int]:
    end = _inner(lines, at, column)
    inner = [line for line in lines[at:end] if line.strip()]
    return "\n".join(line.strip() for line in inner), end


def _plain(lines: Sequence[str], at: int, column: int, rest: str) -> tuple[str, int]:
    """A text after its key; further lines belong to it where they are indented and name no key."""
    end = at
    while end < len(lines) and lines[end].strip() and _indent(lines[end]) > column:
        if _KEY.fullmatch(lines[end].rstrip()) or _ITEM.fullmatch(lines[end]):
            break
        end += 1
    return _scalar(" ".join([rest, *(line.strip() for line in lines[at:end])])), end


def _scalar(text: str) -> str:
    plain = text.strip()
    found = re.match(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)'", plain)
    if found:
        return _unescaped(found[1]) if found[1] is not None else found[2].replace("''", "'")
    return _COMMENT.sub("", plain).strip()


def _items(lines: Sequence[str], at: int, column: int) -> tuple[list[str], int]:
    """Items of a list, whose dashes may stand below their key, or pairs of a mapping."""
    texts: list[str] = []
    dash = column - 1
    while at < len(lines):
        line, indent = lines[at], _indent(lines[at])
        if not line.strip() or line.lstrip().startswith("#"):
            at += 1
            continue
        item = _ITEM.fullmatch(line.rstrip())
        if indent < column or (not item and indent <= max(dash, column)):
            break
        dash = indent if item and dash < column else dash
        at = _item(texts, lines, at, item)
    return texts, at


def _item(texts: list[str], lines: Sequence[str], at: int, item: re.Match[str] | None) -> int:
    """Add one item or pair to ``texts`` and return the line after it."""
    rest = (item[2] or "") if item else lines[at].strip()
    if item and _BLOCK.fullmatch(rest.strip()):
        text, after = _folded(lines, at + 1, _indent(lines[at]))
        texts.append(text)
        return after
    pair = _PAIR.fullmatch(rest.strip())
    texts.append(rest.strip() if pair else _scalar(rest))
    return at + 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _built(text: str) -> list[Container]:
    """What a Dockerfile starts: its last image, entry point and command."""
    one = Container()
    for line in re.sub(r"\\[ \t]*\n", " ", text).split("\n"):
        found = _IMAGE_FILE.match(line.strip())
        if found is None:
            continue
        name, rest = found[1], found[2].strip()
        if name == "FROM":
            stage = _SHIPPED_STAGE.match(rest)
            one = Container(image=stage[1] if stage else "", env=one.env)
        elif name == "ENV":
            one.env += [word for word in _words(rest) if "=" in word]
        else:
            words = _flow([rest], 0, rest)[0] if rest.startswith("[") else _words(rest)
            setattr(one, {"CMD": "command"}.get(name, "entrypoint"), words)
    return [one] if one.command or one.entrypoint else []
