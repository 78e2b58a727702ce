"""The command line as a user calls it: a process of its own."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hwledger.cli import run as call
from support import tiny
from support.checkpoints import put
from support.process import run


def write_config(folder: Path, **changes: object) -> Path:
    """Write the config of the tiny model, changed as asked."""
    return put(folder, {"config.json": tiny.config(**changes)}) / "config.json"


@pytest.mark.requirement("FR-PLAN-CLI", "FR-PLAN-SOURCES")
def test_a_config_is_planned_from_its_file_and_its_folder(tmp_path: Path) -> None:
    """Both spellings give the same plan; KV per token is 2 layers x 2 x 2 heads x 16 x 2 bytes."""
    path = write_config(tmp_path)
    by_file = json.loads(run("plan", str(path), "--json").stdout)
    by_folder = json.loads(run("plan", str(tmp_path), "--json").stdout)
    assert by_file["memory"] == by_folder["memory"]
    assert by_file["memory"]["kv_cache_bytes_per_token"] == 2 * 2 * 2 * 16 * 2


HEAVY = (
    "numpy", "httpx2", "huggingface_hub", "psutil", "pynvml", "importlib.metadata", "importlib.resources",
    "email", "tempfile", "asyncio", "hwledger.library.serving", "hwledger.library.commands.reading",
    "hwledger.library.net.http", "hwledger.library.ollama", "hwledger.planner.solve.question",
    "hwledger.planner.throughput.calibration", "hwledger.planner.throughput.queueing",
)  # fmt: skip
"""What the plan of a model that is known needs on no engine and no device."""
UNUSED = {
    "vllm": ("hwledger.planner.engines.llama_cpp", "hwledger.planner.throughput.single"),
    "llama.cpp": ("hwledger.planner.engines.vllm", "hwledger.planner.throughput.serving"),
    "mlx": ("hwledger.planner.engines.vllm", "hwledger.planner.throughput.serving"),
    "transformers": ("hwledger.planner.engines.vllm", "hwledger.planner.throughput.serving"),
}


def loaded(arguments: list[str], among: tuple[str, ...]) -> list[str]:
    """Plan in a process of its own, and return which of some modules that loaded."""
    script = (
        "import sys; from hwledger.cli import run; "
        f"code = run(['plan', *{arguments!r}]); "
        f"print(*[name for name in {among!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in {0, 3}, done.stderr
    return done.stderr.split()


@pytest.mark.requirement("NFR-SPEED")
@pytest.mark.parametrize("engine", UNUSED)
def test_a_plain_plan_loads_nothing_that_it_does_not_need(engine: str) -> None:
    """A name of the catalogue is planned without arrays, HTTP, the hub, readers of servers or any speed."""
    speed = ("hwledger.planner.throughput", "hwledger.planner.solve", "hwledger.device.table")
    assert loaded(["Qwen/Qwen3-32B", "--engine", engine, "--json"], (*HEAVY, *speed, *UNUSED[engine])) == []


@pytest.mark.requirement("NFR-SPEED")
@pytest.mark.parametrize("engine", UNUSED)
def test_a_plan_on_a_device_loads_one_engine_and_one_model_of_speed(engine: str) -> None:
    """With a device there is a speed, of the one model that the engine needs; nothing else is loaded."""
    arguments = ["Qwen/Qwen3-32B", "--engine", engine, "--device", "RTX 4090"]
    assert loaded(arguments, (*HEAVY, *UNUSED[engine])) == []


@pytest.mark.requirement("NFR-SPEED")
def test_a_file_on_disk_is_planned_without_the_catalogue_and_the_hub(tmp_path: Path) -> None:
    """Sources that do not answer load nothing but themselves."""
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny.gguf_file())
    others = ("hwledger.library.catalogue", "hwledger.library.hub", "hwledger.library.lmstudio")
    assert loaded([str(path), "--device", "RTX 4090"], (*HEAVY, *others)) == []


@pytest.mark.requirement("FR-PLAN-FIT", "FR-PLAN-CLI")
def test_a_plan_that_does_not_fit_exits_with_3_and_says_what_would(tmp_path: Path) -> None:
    """The verdict comes first, then what is missing and the changes that help."""
    path = write_config(tmp_path, max_position_embeddings=1 << 22, num_hidden_layers=64, head_dim=256)
    done = run("plan", str(path), "--engine", "llama.cpp", "--context", "2M", "--device", "RTX 3060 12GB")
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("Does not fit: ")
    assert "What would make it fit" in done.stdout


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 4),
        (b"{", 4),
        (b"[]", 4),
        (b"null", 4),
        (b"\xff\xfe", 4),
        (b'{"model_type": "llama"}', 0),
        (b"{}", 4),
        (b'{"a": NaN}', 4),
        (b"[" * 100_000, 4),
    ],
)
def test_a_file_that_is_no_config_ends_in_one_sentence(tmp_path: Path, content: bytes, code: int) -> None:
    """Exit code 4, one line on stderr, no traceback; class defaults alone make a plan."""
    path = tmp_path / "config.json"
    path.write_bytes(content)
    done = run("plan", str(path))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 10**18},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": "many"},
        {"hidden_size": 1e308},
        {"num_attention_heads": 0},
        {"num_key_value_heads": 10**30},
        {"num_key_value_heads": 3},
        {"head_dim": -4},
        {"vocab_size": True},
        {"vocab_size": [1]},
        {"tie_word_embeddings": "perhaps"},
        {"quantization_config": {"quant_method": "no such method"}},
        {"quantization_config": "int4"},
    ],
)
def test_absurd_numbers_end_in_one_sentence(tmp_path: Path, changes: dict[str, object]) -> None:
    """Exit code 4 and a sentence, whatever the field says."""
    done = run("plan", str(write_config(tmp_path, **changes)))
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no-such-model-at-all"], 4),
        (["./nothing/here"], 4),
        (["a\0b"], 4),
        (["x" * 5000], 4),
        (["Qwen/Qwen3-8B", "--engine", "nope"], 2),
        (["Qwen/Qwen3-8B", "--context", "-1"], 2),
        (["Qwen/Qwen3-8B", "--context", "0"], 2),
        (["Qwen/Qwen3-8B", "--concurrency", "0"], 2),
        (["Qwen/Qwen3-8B", "--option", "nope=1"], 2),
        (["Qwen/Qwen3-8B", "--option", "nope"], 2),
        (["Qwen/Qwen3-8B", "--device", "nope 9000"], 2),
        (["Qwen/Qwen3-8B", "--kv-cache", "nope"], 2),
        (["Qwen/Qwen3-8B", "--weights", "nope"], 2),
        (["Qwen/Qwen3-8B", "--engine-version", "nope"], 2),
        (["--nope"], 2),
        ([], 2),
    ],
)
def test_wrong_requests_end_in_one_sentence(arguments: list[str], code: int) -> None:
    """The documented exit code, one line, no traceback."""
    if any("\0" in argument for argument in arguments):
        assert call(["plan", *arguments]) == code
        return
    done = run("plan", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_several_candidates_are_listed_and_never_chosen_between(tmp_path: Path) -> None:
    """A folder with two GGUF models ends with both names and exit code 2."""
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    done = run("plan", str(tmp_path))
    assert done.returncode == 2
    assert "a.gguf" in done.stderr
    assert "b.gguf" in done.stderr


@pytest.mark.requirement("FR-PLAN-CLI")
def test_show_and_models_answer(tmp_path: Path) -> None:
    """``show`` names the origin of a fact; ``models`` narrows the catalogue by words."""
    shown = run("show", str(write_config(tmp_path)), "--layers")
    assert shown.returncode == 0, shown.stderr
    assert "num_key_value_heads" in shown.stdout
    listed = run("models", "--catalogue", "qwen3", "8b")
    assert listed.returncode == 0, listed.stderr
    assert "Qwen/Qwen3-8B" in listed.stdout
    assert "llama" not in listed.stdout.lower()


@pytest.mark.requirement("NFR-BAD-INPUT", "FR-PLAN-CLI")
def test_names_of_strangers_do_not_act_on_the_terminal(tmp_path: Path) -> None:
    """Escapes and marks of direction in a file's own names are not printed, in plans, errors or JSON."""
    name = "evil\x1b[2J\x1b]0;title\x07\u202egpj\nFits: all"
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    good.write_bytes(tiny.gguf_file(**{"general.name": name}))
    bad.write_bytes(tiny.gguf_file(**{"general.architecture": name}))
    for arguments in (["plan", str(good)], ["show", str(good)], ["plan", str(bad)], ["plan", f"x{name}"]):
        done = run(*arguments)
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr), arguments
    assert not any(line.startswith("Fits: all") for line in run("plan", str(good)).stdout.splitlines())
    assert json.loads(run("plan", str(good), "--json").stdout)["model"]["id"] == name


@pytest.mark.requirement("FR-PLAN-CLI")
@pytest.mark.parametrize("columns", ["0", "-1", "x", "", "60", "99999999"])
def test_any_width_shows_the_whole_plan(columns: str) -> None:
    """A width that is none counts as not given: nothing is swallowed."""
    script = [sys.executable, "-m", "hwledger", "plan", "llama-3.1-8b", "--layers"]
    done = subprocess.run(script, capture_output=True, text=True, env=os.environ | {"COLUMNS": columns},
                          check=False, timeout=60)  # fmt: skip
    assert done.returncode == 0
    assert "weights" in done.stdout
    assert "31" in done.stdout


@pytest.mark.requirement("FR-PLAN-CLI")
def test_a_narrow_terminal_shows_what_the_host_holds() -> None:
    """Of many places the last devices are left out and named; the host's column stays."""
    done = run("plan", "Qwen/Qwen3-32B", "--engine", "llama.cpp", "--weights", "Q4_K_M",
               "--device", "8x RTX 4090", columns=60)  # fmt: skip
    head = next(line for line in done.stdout.splitlines() if line.startswith("GiB"))
    assert head.split()[-2:] == ["host", "basis"]
    assert "not shown at this width: " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60


@pytest.mark.requirement("FR-PLAN-CLI")
def test_a_terminal_of_an_older_encoding_gets_escapes(tmp_path: Path) -> None:
    """What cannot be encoded is shown as an escape, and JSON stays JSON."""
    folder = tmp_path / "modèle"
    folder.mkdir()
    (folder / "config.json").write_bytes(tiny.config())
    plain = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "120"}
    for extra in ([], ["--layers"], ["--json"]):
        script = [sys.executable, "-m", "hwledger", "plan", str(folder), *extra]
        done = subprocess.run(script, capture_output=True, env=plain, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
    assert json.loads(done.stdout)["model"]["source"].endswith("modèle/config.json")


@pytest.mark.requirement("FR-PLAN-CLI")
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_an_output_that_cannot_be_written_is_said(extra: list[str]) -> None:
    """A full disk and a closed output end in one sentence, and not as an error of the program."""
    command = f"{shlex.quote(sys.executable)} -m hwledger plan llama-3.1-8b {' '.join(extra)}"
    for target, words in (("> /dev/full", "could not be written"), (">&-", "nowhere to write")):
        script = ["sh", "-c", f"{command} {target}"]
        done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.requirement("FR-PLAN-CLI")
def test_a_closed_input_and_a_closed_place_for_complaints_change_nothing() -> None:
    """Programs that start others leave them without either; the answer and the exit code stay."""
    command = f"{shlex.quote(sys.executable)} -m hwledger"
    for rest, code, words in (
        ("show llama-3.1-8b 2>&- <&-", 0, "parameters"),
        ("plan llama-3.1-8b --nonsense 2>&-", 2, ""),
        ("top <&-", 2, "top needs a terminal"),
        ("probe --from - <&-", 4, "no output that is known"),
    ):
        done = subprocess.run(
            ["sh", "-c", f"{command} {rest}"], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, rest
        assert words in done.stdout + done.stderr


@pytest.mark.requirement("FR-SRC-COMMANDS")
def test_a_command_pasted_without_quotes_is_told_how() -> None:
    """The shell hands over its flags as ours; the sentence says what to do."""
    done = run("plan", "vllm", "serve", "Qwen/Qwen3-32B", "--max-model-len", "4096")
    assert done.returncode == 2
    assert "put quotes around a pasted command" in done.stderr
    assert "quotes" not in run("plan", "Qwen/Qwen3-32B", "--maximum", "4096").stderr
