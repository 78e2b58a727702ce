"""Text as people paste it, taken apart into the commands that a shell would run."""

import html
import re
from dataclasses import dataclass, field
from typing import Final

from hwledger.library.commands.values import plain_value

_MENDED: Final = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\t", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\r", None),
    }
)
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_DASHED: Final = re.compile(
    rf"(?<![^\s'\"])(?=-{{0,3}}[{_DASHES}])[-{_DASHES}]{{1,4}}(?=[A-Za-z])([A-Za-z](?![\w-]))?"
)
_ENTITY: Final = re.compile(r"&(?:#\d{1,6}|#[xX][0-9a-fA-F]{1,5}|[a-zA-Z]{2,8});")
_POWERSHELL: Final = re.compile(r"\$env:(\w{1,60}) {0,3}= {0,3}", re.IGNORECASE)
_PROMPT: Final = re.compile(
    r"(?:\([\w.-]{1,40}\) ?)?"
    r"(?:[\w.-]{1,40}@[^\s$#>]{1,80}(?: [^\s$#>]{1,80})?[$#>%] ?|\[[\w.-]{1,40}@[^\]\n]{1,120}\][$#%] ?"
    r"|PS(?: [^>\n]{0,120})?> ?"
    r"|[A-Za-z]:\\(?![^>\n]{0,120}(?:\.exe| -))[^>\n|&\"]{0,120}> ?|(?:ba|z)?sh-\d[\d.]{0,8}[$#] ?"
    r"|\u279c {2,3}[~\w./-]{1,60} {1,2}(?:git:\([^)\n]{1,60}\) )?(?:\u2717 )?"
    r"|[\u279c\u276f\u03bb\u25b6] {1,2})?"
)
_MARKS: Final = ("$ ", ">>> ", "> ", "% ", "!", "%%bash", "%%sh", "%sx ")
_BULLET: Final = re.compile(r"(?:[-*\u2022]|\d{1,2}[.)]) +(?=[A-Za-z./$`])")
_ARRAY: Final = re.compile(r"^[ \t]*(?:declare -a )?(\w{1,60})=\(([^()]{0,4000})\)", re.MULTILINE)
_QUOTED: Final = re.compile(r"`([^`\n]{3,2000})`")
_SUM: Final = re.compile(r"\$\(\(([\d *+-]{1,40})\)\)")
_LONGEST_VALUE: Final = 1000
_MORE: Final = re.compile(r"(?:>>? |More\? ?)")
_COMMENTED: Final = re.compile(r" \\\s+#[^\n]{0,500}$")
_LISTED: Final = re.compile(
    r" *(?:[a-z_][\w.+-]{0,31} +)?\d{1,9} +(?:[\w.:?/+<-]{1,16} +){0,9}?"
    r"(?=(?:/[^ ]{0,200}/)?(?:python[\d.]{0,5}|vllm|llama-server|ollama|sglang|text-generation-launcher) )"
)
"""Columns of ``ps`` before a command: user, process, shares, sizes, times."""
_UNIT: Final = re.compile(r"(?:ExecStart=[-@:+!|]{0,3}|Environment=(?=\"?\w{1,60}=)|command=)")
_FLAG: Final = re.compile(r"\s*-{1,2}[A-Za-z]")
_ESCAPABLE: Final = frozenset(" \"'\\$&|;<>()#*?!`{}[]\n")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w{1,60})(?::?-([^{}]{0,200}))?\}|(\w{1,60})|\((\w{1,60})\))")


@dataclass(slots=True)
class Command:
    """One command of a line.

    Attributes:
        words: its words, quotes removed.
        whole: no quote in it is left open.
    """

    words: list[str] = field(default_factory=list)
    whole: bool = True


def mend(text: str) -> str:
    """Return ``text`` with quotes, spaces, dashes and entities of web pages turned into a shell's."""
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    text = _POWERSHELL.sub(r"\1=", text.translate(_MENDED))
    return _DASHED.sub(lambda found: ("-" if found[1] else "--") + (found[1] or ""), text)


def join_lines(text: str) -> str:
    """Return ``text`` without prompts and fences, continued lines in one.

    A line goes on after a backslash, a caret or a backtick, and where the next one begins with a flag.
    """
    lines: list[str] = []
    goes_on = False
    for raw in text.split("\n"):
        if goes_on and raw.lstrip().startswith("#"):
            continue  # a flag that somebody switched off
        line = _MORE.sub("", raw, count=1) if goes_on and _MORE.match(raw) else raw
        line = line if goes_on else _unprompted(raw)
        if line.lstrip().startswith("```"):
            goes_on = False
            continue
        held = _held(line)
        if lines and (goes_on or _FLAG.match(line)):
            lines[-1] += " " + held
        else:
            lines.append(held)
        goes_on = held != line
    return "\n".join(line.replace(" \\ ", "  ") for line in lines)


def _held(line: str) -> str:
    """Return ``line`` without the mark at its end that it goes on; a caret or backtick stands alone.

    A comment behind the mark would end the command in a shell; whoever writes one means it to go on.
    """
    text = _COMMENTED.sub(" \\\\", line).rstrip()
    alone = len(text) == 1 or text[-2:-1].isspace()
    if text.endswith("\\") or (text.endswith(("^", "`")) and alone):
        return text[:-1].rstrip()
    return line


def _unprompted(line: str) -> str:
    text = line.lstrip()
    for start in (_LISTED, _BULLET, _PROMPT):
        found = start.match(text)
        text = text[found.end() :] if found else text
    text = _UNIT.sub("", text, count=1) if _UNIT.match(text) else text
    for mark in _MARKS:
        if text.startswith(mark):
            return text[len(mark) :]
    return text if len(text) < len(line.lstrip()) else line


def expand(word: str, known: dict[str, str]) -> str:
    """Return ``word`` with the variables that are ``known``, or that bring a default, in place."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3] or found[4]
        return known.get(name, found[2] if found[2] is not None else found[0])

    if "$" not in word:
        return word
    return _VARIABLE.sub(value, _SUM.sub(_sum, word))[: max(_LONGEST_VALUE, len(word))]


def _sum(found: re.Match[str]) -> str:
    """The whole number that ``$((32*1024))`` is; the text itself where it is none."""
    value = plain_value(found[1].strip())
    return str(value) if isinstance(value, int) else found[0]


def arrays(text: str) -> tuple[str, dict[str, list[str]]]:
    """Return ``text`` without its arrays, and the words of each: ``ARGS=(--model a/b)``."""
    found = {name: split(" ".join(inner.split("\n"))) for name, inner in _ARRAY.findall(text)}
    words = {name: commands[0].words if commands else [] for name, commands in found.items()}
    return (_ARRAY.sub("", text), words) if words else (text, {})


def marked(text: str) -> str:
    """Return what stands between backticks in a text of prose, one to a line."""
    return "\n".join(_QUOTED.findall(text))


def split(text: str) -> list[Command]:
    """Return the commands of ``text`` in order; operators, redirections and comments are left out."""
    return _Scanner(text).run()


class _Scanner:
    """Goes over a text once, character by character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.word: list[str] | None = None
        self.commands = [Command()]
        self.dropped = False  # the word being read is the target of a redirection

    def run(self) -> list[Command]:
        while self.at < len(self.text):
            self._step(self.text[self.at])
        self._end_word()
        return [command for command in self.commands if command.words]

    def _step(self, char: str) -> None:
        if char in "\"'":
            self._quoted(char)
        elif char == "\\":
            self._escaped()
        elif char.isspace():
            self._space(char)
        elif char in ";|&":
            self._operator(char)
        elif char in "<>":
            self._redirection()
        elif char == "#" and self.word is None:
            self._skip_line()
        elif self.text.startswith("$(", self.at):
            self._substitution()
        else:
            self._add(char)
            self.at += 1

    def _add(self, text: str) -> None:
        if self.word is None:
            self.word = []
        self.word.append(text)

    def _end_word(self) -> None:
        if self.word is not None and not self.dropped:
            self.commands[-1].words.append("".join(self.word))
        if self.word is not None:
            self.dropped = False
        self.word = None

    def _space(self, char: str) -> None:
        self._end_word()
        if char == "\n":
            self._end_command()
        self.at += 1

    def _end_command(self) -> None:
        self.dropped = False
        if self.commands[-1].words:
            self.commands.append(Command())

    def _operator(self, char: str) -> None:
        if char == "&" and self.text.startswith("&>", self.at):
            self._end_word()
            self.at += 1
            return
        self._end_word()
        self._end_command()
        self.at += 1

    def _redirection(self) -> None:
        if self.word is not None and "".join(self.word).isdigit():
            self.word = None  # the 2 of 2>
        self._end_word()
        while self.at < len(self.text) and self.text[self.at] in "<>&":
            self.at += 1
        self.dropped = True

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _substitution(self) -> None:
        end, line = self.text.find(")", self.at), self.text.find("\n", self.at)
        if end < 0 or 0 <= line < end:
            end = self.at + 1
        self._add(self.text[self.at : end + 1])
        self.at = end + 1

    def _escaped(self) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if following in _ESCAPABLE and following:
            self._add("" if following == "\n" else following)
            self.at += 2
        else:
            self._add("\\")
            self.at += 1

    def _apostrophe(self) -> bool:
        """Whether the quote is that of a word like "don't": in a word, and alone on its line."""
        end = self.text.find("\n", self.at)
        line = self.text[self.at + 1 : end if end >= 0 else len(self.text)]
        return bool(self.word and self.word[-1].isalpha() and line[:1].isalpha() and "'" not in line)

    def _quoted(self, quote: str) -> None:
        if quote == "'" and self._apostrophe():
            self._add(quote)
            self.at += 1
            return
        self._add("")
        at = self.at + 1
        while at < len(self.text) and self.text[at] != quote:
            if quote == '"' and self.text[at] == "\\" and self.text[at + 1 : at + 2] in {'"', "\\", "$", "`"}:
                at += 1
            self._add(self.text[at : at + 1])
            at += 1
        if at >= len(self.text):
            self.commands[-1].whole = False
        self.at = at + 1
