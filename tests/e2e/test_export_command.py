"""``hwledger plan --export`` as a user calls it."""

import json
import os
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


GRID = ("Qwen/Qwen3-8B", "--engine", "llama.cpp", "--device", "RTX 4090", "--grid",
        "quant=Q4_K_M:Q8_0,context=4k:8k")  # fmt: skip
EXPORT = ("Qwen/Qwen3-8B", "--device", "L40S", "--export", "vllm")


@pytest.mark.parametrize(("asked", "suffix"), [(EXPORT, ""), (GRID, ".csv")])
def test_what_cannot_be_written_is_said_in_one_line(
    tmp_path: Path, asked: tuple[str, ...], suffix: str
) -> None:
    """A folder, one that is not there, a file as a folder, a link in a circle: nothing is left behind."""
    folder, file, circle = (tmp_path / f"{name}{suffix}" for name in ("folder", "file", "circle"))
    folder.mkdir()
    file.write_text("kept")
    circle.symlink_to(circle)
    for target in (folder, tmp_path / "no" / f"x{suffix}", file / f"x{suffix}", circle):
        done = run(*asked, "--write", str(target))
        assert done.returncode == 4, target
        assert "cannot be written" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert file.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in (folder, file, circle)
    )
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("asked", "suffix"), [(EXPORT, ""), (GRID, ".json")])
def test_what_is_there_is_replaced_whole(tmp_path: Path, asked: tuple[str, ...], suffix: str) -> None:
    """A file keeps its permissions, a link its place, and a second run writes the same."""
    file, link = tmp_path / f"file{suffix}", tmp_path / f"link{suffix}"
    file.write_text("x" * 100_000)
    file.chmod(0o640)
    link.symlink_to(file)
    assert run(*asked, "--write", str(link)).returncode == 0
    first = file.read_text()
    assert "x" * 100 not in first
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert run(*asked, "--write", str(file)).returncode == 0
    assert file.read_text() == first
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_device_is_written_to_and_a_full_one_is_said(tmp_path: Path) -> None:
    """Special files stay what they are: /dev/stdout takes the text, /dev/full ends in one line."""
    out = run(*EXPORT, "--write", "/dev/stdout")
    assert out.returncode == 0
    assert "vllm serve" in out.stdout
    full = run(*EXPORT, "--write", "/dev/full")
    assert full.returncode == 4
    assert "cannot be written" in full.stderr.splitlines()[-1]
    assert Path("/dev/full").is_char_device()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_said(tmp_path: Path) -> None:
    """Where a user may not write, what is there stays."""
    file = tmp_path / "run.sh"
    file.write_text("kept")
    tmp_path.chmod(0o500)
    done = run(*EXPORT, "--write", str(file))
    tmp_path.chmod(0o700)
    assert done.returncode == 4
    assert file.read_text() == "kept"
