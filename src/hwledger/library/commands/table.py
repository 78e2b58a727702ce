"""The flags of one program, from its csv file, and reading words by them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from hwledger.shipped import shipped_text

_FALSE = frozenset({"0", "false", "off", "no"})


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: its own spelling.
        takes: ``none``, ``value``, ``optional``, ``many`` or ``two`` words.
        option: what it sets; ``aside`` and ``unmodelled`` set nothing.
    """

    name: str
    takes: str
    option: str


@dataclass(slots=True)
class Item:
    """One flag as it was written.

    Attributes:
        said: the words of the command line, for sentences.
        flag: ``None``: the program has no such flag as far as is known.
        value: the words after it; empty where it takes none.
        off: written in its negated form.
        key: what follows a dot in the name (``--hf-overrides.rope_theta``).
    """

    said: str
    flag: Flag | None
    value: str = ""
    off: bool = False
    key: str = ""


@dataclass(slots=True)
class Parsed:
    """A command line in order: its flags, and the words that belong to none."""

    items: list[Item] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)


@cache
def table(*names: str) -> "Table":
    """Return the flags of the program with those csv files."""
    texts = [shipped_text("hwledger.library.commands", f"data/{name}.csv") for name in names]
    return Table(names[0], [row for text in texts for row in csv.DictReader(text.splitlines())])


class Table:
    """All flags of one program."""

    def __init__(self, name: str, rows: Sequence[dict[str, str]]) -> None:
        self.exact = name.startswith("llama_")  # neither -fvalue nor shortened names there
        self.flags: dict[str, Flag] = {}
        for row in rows:
            flag = Flag(row["flag"], row["takes"], row["option"])
            for spelling in (row["flag"], *row["aliases"].split()):
                self.flags.setdefault(_plain(spelling), flag)

    def read(self, words: Sequence[str]) -> Parsed:
        """Return ``words`` as flags with their values and loose words."""
        return _Reading(self, words).run()

    def find(self, name: str) -> Flag | None:
        """Return the flag that ``name`` means, shortened names of argparse included."""
        plain = _plain(name)
        found = self.flags.get(plain) or self.flags.get(plain[1:] if plain.startswith("--") else "-" + plain)
        if found or self.exact or len(plain) < 5:  # noqa: PLR2004 - shorter ones mean too much
            return found
        longer = {flag.name: flag for text, flag in self.flags.items() if text.startswith(plain)}
        return next(iter(longer.values())) if len(longer) == 1 else None

    def known(self, word: str) -> bool:
        """Whether ``word`` is a flag and no value."""
        return word.startswith("--") or _plain(word) in self.flags


def _plain(name: str) -> str:
    return name.replace("_", "-") if name.startswith("--") else name


class _Reading:
    """One pass over the words of a command."""

    def __init__(self, flags: Table, words: Sequence[str]) -> None:
        self.table = flags
        self.words = list(words)
        self.at = 0
        self.parsed = Parsed()
        self.doubtful: list[tuple[Item, str]] = []

    def run(self) -> Parsed:
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if word == "--":
                self.parsed.loose += self.words[self.at :]
                break
            if not word.startswith("-") or word[1:2] in {"", *"0123456789."}:
                self.parsed.loose.append(word)
            else:
                self._flag(word)
        self._settle()
        return self.parsed

    def _settle(self) -> None:
        """The word after an unknown flag is its value, unless the program is left without a model."""
        for item, word in self.doubtful:
            if not self.parsed.loose and not self._named():
                self.parsed.loose.append(word)
            else:
                item.said += f" {word}"

    def _named(self) -> bool:
        return any(item.flag and item.flag.option in {"model", "hf_repo"} for item in self.parsed.items)

    def _flag(self, word: str) -> None:
        name, equals, value = word.partition("=")
        item = self._item(name)
        if item is None:
            self._shorthand(word)
            return
        item.said = word
        if equals:
            self._assigned(item, value)
        else:
            self._take(item)
        self.parsed.items.append(item)

    def _item(self, name: str) -> Item | None:
        flag = self.table.find(name)
        if flag:
            return Item(name, flag)
        if name.startswith("--no-") and (flag := self.table.find("--" + name[5:])) and flag.takes == "none":
            return Item(name, flag, off=True)
        base, dot, key = name.partition(".")
        if dot and (flag := self.table.find(base)):
            return Item(name, flag, key=key)
        return None

    def _assigned(self, item: Item, value: str) -> None:
        item.value = value
        if item.flag and item.flag.takes == "none":
            item.off ^= value.lower() in _FALSE
            item.value = ""

    def _take(self, item: Item) -> None:
        takes = item.flag.takes if item.flag else "none"
        wanted = {"none": 0, "many": len(self.words), "two": 2}.get(takes, 1)
        taken: list[str] = []
        while len(taken) < wanted and self.at < len(self.words):
            following = self.words[self.at]
            if self._ends(takes, following):
                break
            taken.append(following)
            self.at += 1
        item.value = " ".join(taken)
        item.said = " ".join((item.said, *taken))

    def _ends(self, takes: str, word: str) -> bool:
        if takes in {"many", "optional"}:
            return word.startswith("-") and not word[1:2].isdigit()
        return word != "--" and self.table.known(word)

    def _shorthand(self, word: str) -> None:
        """``-fvalue`` and ``-it``: a short flag with its value, or several at once."""
        if word.startswith("--") or self.table.exact or len(word) > 200:  # noqa: PLR2004 - no flag
            self._unknown(word)
            return
        for end in range(min(len(word) - 1, 5), 1, -1):
            flag = self.table.flags.get(word[:end])
            if flag and flag.takes != "none":
                self.parsed.items.append(Item(word, flag, word[end:].removeprefix("=")))
                return
        self._cluster(word)

    def _cluster(self, word: str) -> None:
        flags = [self.table.flags.get("-" + letter) for letter in word[1:]]
        if None in flags or any(flag and flag.takes != "none" for flag in flags[:-1]):
            self._unknown(word)
            return
        for flag in flags:
            item = Item(word, flag)
            self._take(item)
            self.parsed.items.append(item)

    def _unknown(self, word: str) -> None:
        item = Item(word, None)
        self.parsed.items.append(item)
        following = self.words[self.at] if self.at < len(self.words) else "-"
        if "=" not in word and not following.startswith("-"):
            self.doubtful.append((item, following))
            self.at += 1
