"""The one command of a pasted text that runs a model."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands import snippets
from hwledger.library.commands.launch import Program, assignments, find
from hwledger.library.commands.programs import READERS
from hwledger.library.commands.shell import join_lines, mend, split
from hwledger.library.deployment import Deployment

LONGEST: Final = 20_000
"""Characters of the longest text that is read."""

_KNOWN: Final = (
    "vllm serve, llama-server, ollama run, lms load, sglang, mlx_lm.server, hf download and their like"
)


def is_command(ref: str) -> bool:
    """Return whether ``ref`` is a command line or a snippet that runs a model, and no plain name."""
    text = ref.strip()
    if len(text) > LONGEST:
        return False
    mended = mend(text.strip("`"))
    return bool(_programs(mended)[0]) or snippets.is_snippet(mended)


def read_command(text: str) -> Deployment:
    """Return what a pasted command line runs.

    Of several lines the one counts that runs a model; one that only fetches a model counts where none
    runs it.

    Raises:
        UsageError: no command in it is known, quotes are left open, it names no model, or it runs two
            different ones.
    """
    if len(text) > LONGEST:
        raise UsageError(f"the command has {len(text):,} characters; paste the one that runs the model alone")
    mended = mend(text.strip().strip("`"))
    programs, whole = _programs(mended)
    if not whole:
        raise UsageError("a quote in the command is left open; paste the command as a whole")
    if not programs:
        snippet = snippets.read(mended)
        if snippet:
            return snippet
        raise UsageError(f"no command that runs a model is in the text; known: {_KNOWN}")
    running = [program for program in programs if program.runs] or programs
    return _one(running)


def _programs(text: str) -> tuple[list[Program], bool]:
    """The known programs of a text, and whether all of their quotes are closed."""
    found: list[Program] = []
    told: dict[str, str] = {}
    whole, anything = True, True
    for command in split(join_lines(text)):
        told |= assignments(command.words)
        anything = anything and command.whole
        program = find(command.words, told)
        if program:
            found.append(program)
            whole = whole and command.whole
        elif command.words[-2:] == ["ollama", "serve"]:
            told |= assignments(command.words[:-2])
    return found, whole if found else anything or snippets.is_snippet(text)


def _one(programs: list[Program]) -> Deployment:
    read: list[Deployment] = []
    errors: list[UsageError] = []
    for program in programs:
        try:
            deployment = READERS[program.reader](program.call)
        except UsageError as error:
            errors.append(error)
        else:
            read += [deployment] if deployment not in read else []
    if len(read) > 1:
        raise UsageError(f"the text runs a model in several ways: {_listed(read)}; paste one of the commands")
    if not read:
        raise errors[0]
    return read[0]


def _listed(read: list[Deployment]) -> str:
    """Return the commands for a sentence, with their options where nothing else tells them apart."""
    names = [f"{found.program} {found.model[:80]}" for found in read[:8]]
    if len(set(names)) < len(names):
        names = [
            f"{name} ({', '.join(f'{key}={value}' for key, value in found.options.items())})"
            for name, found in zip(names, read, strict=False)
        ]
    return ", ".join(names)
