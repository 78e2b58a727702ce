"""The one command of a pasted text that runs a model."""

import re
import shlex
from dataclasses import replace
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands import snippets
from hwledger.library.commands.documents import containers
from hwledger.library.commands.fetched import from_where
from hwledger.library.commands.launch import Program, assignments, find
from hwledger.library.commands.programs import READERS, fetch, ollama
from hwledger.library.commands.shell import arrays, expand, join_lines, marked, mend, split
from hwledger.library.commands.written import written
from hwledger.library.deployment import Deployment

LONGEST: Final = 20_000
"""Characters of the longest text that is read."""

_INSTRUCTION: Final = re.compile(
    r"^(FROM|PARAMETER|TEMPLATE|SYSTEM|ADAPTER|LICENSE|MESSAGE)[ \t]+([^\n]{1,500})",
    re.MULTILINE | re.IGNORECASE,
)
_KNOWN: Final = (
    "vllm serve, llama-server, ollama run, lms load, sglang, mlx_lm.server, hf download and their like"
)


def is_command(ref: str) -> bool:
    """Return whether ``ref`` is a command line or a snippet that runs a model, and no plain name."""
    if len(ref) > LONGEST:
        return False
    mended = mend(_bare(ref))
    return bool(_programs(mended)[0] or _modelfile(mended)) or snippets.is_snippet(mended)


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
    mended = mend(_bare(text))
    programs, whole = _programs(mended)
    if not whole:
        raise UsageError("a quote in the command is left open; paste the command as a whole")
    if not programs:
        if lines := _modelfile(mended):
            return ollama.read_modelfile(lines)
        snippet = snippets.read(mended)
        if snippet:
            return snippet
        raise UsageError(f"no command that runs a model is in the text; known: {_KNOWN}")
    running = [program for program in programs if program.runs]
    if not running:
        return _one(programs, by_model=True)
    return from_where(_one(running), [program for program in programs if not program.runs])


def _bare(text: str) -> str:
    """Return ``text`` without the backticks around it; the first line keeps its indentation."""
    bare = text.rstrip().lstrip("\r\n")
    return bare.strip("`") if bare.lstrip().startswith("`") else bare


def _programs(text: str) -> tuple[list[Program], bool]:
    """The known programs of a text, and whether all of their quotes are closed."""
    words = [*containers(text), *snippets.listed_words(text)]
    described = [program for command in words if (program := find(command, {}))]
    if described:
        return described, True
    typed, whole = _typed(text)
    if not typed and "`" in text:
        quoted = _typed(marked(text))
        return quoted if quoted[0] else (typed, whole)
    return typed, whole


def _with_setting(program: Program, said: list[str]) -> Program:
    """Return a program of Ollama with a parameter that is set in its prompt: its name and its value."""
    if program.reader != "ollama" or len(said) < 2:  # noqa: PLR2004 - a pair
        return program
    env = {**program.call.env, ollama.SET + said[0]: said[1]}
    return replace(program, call=replace(program.call, env=env))


def _modelfile(text: str) -> list[tuple[str, str]]:
    """Instructions of an Ollama Modelfile; empty where the text is none."""
    lines = [(found[1].upper(), found[2].strip()) for found in _INSTRUCTION.finditer(text)]
    names = [name for name, _ in lines]
    return lines if names.count("FROM") == 1 and len(set(names)) > 1 else []


def _typed(text: str) -> tuple[list[Program], bool]:
    """The known programs of lines that are typed into a shell."""
    found: list[Program] = []
    told: dict[str, str] = {}
    whole, anything = True, True
    text, files = written(text)
    text, listed = arrays(text)
    told |= files
    told |= {name: shlex.join(words) for name, words in listed.items()}
    for command in split(join_lines(text)):
        told |= {name: expand(value, told) for name, value in assignments(command.words).items()}
        if command.words[:2] == ["/set", "parameter"]:
            found = [_with_setting(program, command.words[2:4]) for program in found]
        anything = anything and command.whole
        program = find(command.words, told)
        if program and program.reader == "fetch" and not fetch.wanted(program.call):
            continue
        if program:
            found.append(program)
            whole = whole and command.whole
        elif " ".join(command.words[-2:]).endswith("ollama serve"):
            told |= assignments(command.words[:-2])
    return found, whole if found else anything or snippets.is_snippet(text)


def _one(programs: list[Program], *, by_model: bool = False) -> Deployment:
    """The one deployment of all programs; ``by_model``: those that only fetch the same model are one."""
    read: list[Deployment] = []
    errors: list[UsageError] = []
    for program in programs:
        try:
            deployment = READERS[program.reader](program.call)
        except UsageError as error:
            errors.append(error)
        else:
            known = [one.model for one in read] if by_model else read
            read += [deployment] if (deployment.model if by_model else deployment) not in known else []
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
