"""A recipe: the program that runs a planned model, its settings, and the number behind each of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwledger.planner.export.spelling import spell
from hwledger.planner.export.words import plain
from hwledger.planner.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a program.

    Attributes:
        option: what it sets, by its name in the plan.
        words: the words of the command line; empty where it is set in a file or by a variable.
        value: the value as the program reads it.
        why: the number behind it, in one sentence.
    """

    option: str
    words: tuple[str, ...]
    value: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that has to have run before; ``unless`` is a path that shows that it has."""

    words: tuple[str, ...]
    why: str
    unless: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that it takes to run a plan on one engine.

    Attributes:
        target: name of the export target.
        title: the engine as people write it.
        version: version that the spelling is for; empty where the target has none of its own.
        program: the words up to the first setting: the program and, where it is positional, the model.
        model: what the program is told to load.
        local: path on this machine that it must be able to read; empty for a model of a hub.
        settings: its settings, in order.
        env: variables that its process needs.
        before: what has to be done first.
        port: port that it answers on.
        health: path that answers once the model is loaded.
        notes: what the program cannot be told, or what the plan does not hold, in sentences.
    """

    target: str
    title: str
    version: str
    program: tuple[str, ...]
    model: str
    local: str = ""
    settings: tuple[Setting, ...] = ()
    env: Mapping[str, Setting] = field(default_factory=dict)
    before: tuple[Step, ...] = ()
    port: int
    health: str
    notes: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """The command as words."""
        return (*self.program, *(word for setting in self.settings for word in setting.words))


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export gives.

    Attributes:
        text: the command or file, whole, ending in a line feed.
        notes: what could not be expressed, in sentences; they are comments in ``text`` where it can hold any.
    """

    text: str
    notes: tuple[str, ...] = ()


class Draft:
    """Settings and notes of one recipe while it is written."""

    def __init__(self, plan: Plan, target: str, title: str, version: str) -> None:
        self.plan = plan
        self.target = target
        self.title = title
        self.version = version
        self.settings: list[Setting] = []
        self.notes: list[str] = []
        self.handled: set[str] = set()

    def put(self, option: str, value: object, why: str) -> bool:
        """Set an option; a flag that this version does not have becomes a note, and ``False`` comes back."""
        self.handled.add(option)
        words = spell(self.target, option, value, self.version)
        if words is None:
            self.note(f"{self.named} has no flag for {option}={plain(value)} that is known: it is left out")
            return False
        if words:
            self.settings.append(Setting(option=option, words=words, value=plain(value), why=why))
        return True

    def note(self, sentence: str) -> None:
        """Add a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def skip(self, *options: str) -> None:
        """Count options of the plan as taken care of."""
        self.handled.update(options)

    def as_given(self, *options: str) -> None:
        """Set options as the user gave them."""
        for option in options:
            value = self.plan.request.options[option]
            self.put(option, value, f"as given: {option}={plain(value)}")

    def rest(self) -> None:
        """Set what the user gave and nothing has handled yet."""
        self.as_given(*[option for option in self.plan.request.options if option not in self.handled])

    @property
    def named(self) -> str:
        """Engine and version for sentences."""
        return f"{self.title} {self.version}".strip()
