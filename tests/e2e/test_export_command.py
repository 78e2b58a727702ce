"""``hwledger plan --export`` as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import tiny

pytestmark = pytest.mark.requirement("FR-EXPORT-CLI")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "hwledger", "plan", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_stdout_is_the_command_and_stderr_the_notes() -> None:
    """A pipe into a shell gets comments and one command; what could not be told is on stderr."""
    done = run("Qwen/Qwen3-32B", "--device", "2x H100 SXM", "--export", "vllm")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("# Qwen/Qwen3-32B on vLLM")
    assert done.stderr.startswith("hwledger: note: no revision is pinned")
    assert subprocess.run(["sh", "-n"], input=done.stdout, text=True, check=False).returncode == 0


def test_the_engine_is_the_targets(tmp_path: Path) -> None:
    """Without --engine the plan is one of the engine that the target needs; another one is refused."""
    (tmp_path / "m.gguf").write_bytes(tiny.gguf_file())
    assert "FROM " in run("m.gguf", "--export", "ollama", cwd=tmp_path).stdout
    assert f"-m {tmp_path}/m.gguf" in run("m.gguf", "--export", "llama.cpp", cwd=tmp_path).stdout
    refused = run("Qwen/Qwen3-32B", "--engine", "mlx", "--export", "vllm")
    assert refused.returncode == 2
    assert "--engine vllm" in refused.stderr
    assert refused.stdout == ""


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """--write writes the file and prints nothing; a refusal leaves what was there."""
    file = tmp_path / "run.sh"
    done = run("Qwen/Qwen3-32B", "--device", "2x H100 SXM", "--export", "sglang", "--write", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    text = file.read_text()
    assert text.endswith("--port 30000\n")
    refused = run("Qwen/Qwen3-32B", "--device", "RTX 4090", "--export", "sglang", "--write", str(file))
    assert refused.returncode == 3
    assert file.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["run.sh"]
    nowhere = run("Qwen/Qwen3-32B", "--export", "vllm", "--write", str(tmp_path / "no" / "run.sh"))
    assert nowhere.returncode == 4


def test_force_writes_what_does_not_fit() -> None:
    """The sentence says how to go on; by force it is written, and says what it is."""
    arguments = ("Qwen/Qwen3-32B", "--device", "RTX 4090", "--export", "vllm")
    refused = run(*arguments)
    assert refused.returncode == 3
    assert "--force" in refused.stderr
    forced = run(*arguments, "--force")
    assert forced.returncode == 0
    assert "does NOT fit" in forced.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--write", "x"),
        ("--force",),
        ("--export", "vllm", "--json"),
        ("--export", "tgi"),
        ("--export", "vllm:k8s"),
    ],
)
def test_options_that_contradict_each_other(arguments: tuple[str, ...]) -> None:
    """One sentence and exit code 2."""
    done = run("Qwen/Qwen3-32B", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_json_is_json() -> None:
    """The recipe for programs parses, and notes do not get into it."""
    done = run("Qwen/Qwen3-32B", "--export", "json:sglang")
    assert json.loads(done.stdout)["schema"] == "hwledger.recipe/1"
