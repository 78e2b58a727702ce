"""Requirements and tests name each other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def named_by_tests() -> Iterator[tuple[str, str]]:
    """Yield (requirement, test file) of every marker in the suite."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.requirement"):
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        yield str(argument.value), path.name


def written_down() -> set[str]:
    """Return the ids of docs/requirements.md."""
    return set(
        re.findall(
            r"^\| ((?:FR|NFR)-[A-Z-]+) \|", (ROOT / "docs/requirements.md").read_text("utf-8"), re.MULTILINE
        )
    )


@pytest.mark.requirement("NFR-PURITY")
def test_every_requirement_has_a_test_and_no_test_names_another() -> None:
    """The ids in the docs and in the markers are the same set."""
    assert {name for name, _ in named_by_tests()} == written_down()


@pytest.mark.requirement("NFR-PURITY")
def test_every_test_says_what_it_proves() -> None:
    """Each test function has a docstring and a requirement, its own or its module's."""
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        module = ast.parse(path.read_text("utf-8"))
        for_all = any(
            isinstance(line, ast.Assign)
            and "pytestmark" in ast.unparse(line)
            and "requirement" in ast.unparse(line)
            for line in module.body
        )
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marked = for_all or any("requirement" in ast.unparse(mark) for mark in node.decorator_list)
                if not (marked and ast.get_docstring(node)):
                    silent.append(f"{path.name}::{node.name}")
    assert not silent
