"""The page on Python: its examples run, and the calls are those that the package exports."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hwledger
from hwledger.errors import UsageError
from hwledger.planner.solve.ranking import Mode

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
CALLS = ("compare", "export", "fit", "open_model", "plan", "solve", "speed")


@pytest.mark.requirement("FR-PYTHON")
def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Every block, in order, as one program."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - the page of this repository
    printed = capsys.readouterr().out
    assert "Qwen/Qwen3-8B on devices" in printed
    assert "None" not in printed.splitlines()[1]


@pytest.mark.requirement("FR-PYTHON")
def test_calls_say_what_is_wrong() -> None:
    """Lengths that cannot be read, a rate without lengths, an unknown that is none."""
    plan = hwledger.plan("Qwen/Qwen3-8B", engine="vllm", device="L40S")
    for asked in ({"prompt": "long"}, {"rps": 2.0}, {"prompt": 100, "output": 10, "rps": -1.0}):
        with pytest.raises(UsageError):
            hwledger.speed(plan, **asked)  # type: ignore[arg-type]  # each call with its own mistake
    with pytest.raises(hwledger.HwledgerError):
        hwledger.solve(plan, "price")


@pytest.mark.requirement("FR-PYTHON")
def test_a_node_counts_in_calls() -> None:
    """A node that is named reaches the plan and the fit."""
    plan = hwledger.plan("Qwen/Qwen3-8B", engine="vllm", device="DGX H100")
    assert plan.request.node
    found = hwledger.fit("Qwen3-8B", device="DGX H100", local=False)
    assert {one.mode for one in found} == {Mode.DEVICES}


@pytest.mark.requirement("FR-PYTHON", "NFR-SPEED")
def test_importing_loads_nothing() -> None:
    """The package and its list of names cost no module of the planner, the solver or numpy."""
    code = (
        "import sys, hwledger; assert set(%r) <= set(dir(hwledger));"
        "print([name for name in sys.modules if name == 'numpy' or name.startswith('hwledger.')])"
    )
    done = subprocess.run([sys.executable, "-c", code % (CALLS,)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(callable(getattr(hwledger, name)) for name in CALLS)
