"""``hwledger probe`` as a user runs it."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

pytestmark = pytest.mark.requirement("FR-TEL-PROBE")
COMMAND = [sys.executable, "-m", "hwledger", "probe"]


def probe(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run the command with what is piped in."""
    ran = subprocess.run([*COMMAND, *arguments], capture_output=True, input=given, check=False, timeout=120)
    return subprocess.CompletedProcess(
        ran.args, ran.returncode, ran.stdout.decode("utf-8"), ran.stderr.decode("utf-8")
    )


def schema() -> dict[str, object]:
    """Return the schema of the document."""
    text = files("hwledger.telemetry").joinpath("schemas", "probe-1.json").read_text("utf-8")
    found: dict[str, object] = json.loads(text)
    return found


def test_it_shows_this_machine() -> None:
    """The host's memory is shown, whatever accelerators there are, and the exit code is 0."""
    ran = probe()
    assert ran.returncode == 0, ran.stderr
    assert "GiB in use" in ran.stdout
    assert ran.stderr == ""


def test_its_json_follows_the_schema() -> None:
    """The document is valid, and every source is in it with whether it works."""
    ran = probe("--json")
    document = json.loads(ran.stdout)
    jsonschema.validate(document, schema())
    assert {"host"} <= {check["source"] for check in document["sources"]}
    assert document["host"]["readings"]["host_memory_total"]["value"] > 0


def test_watching_gives_one_line_a_look() -> None:
    """With --json each look is one document in one line."""
    ran = probe("--watch", "0.2", "--count", "3", "--json", "--source", "host")
    lines = ran.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        jsonschema.validate(json.loads(line), schema())


def test_the_doctor_says_what_works() -> None:
    """Every source is listed with whether it works."""
    ran = probe("--doctor")
    assert ran.returncode == 0
    assert "host" in ran.stdout
    assert "psutil" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "given", "code", "said"),
    [
        (["--source", "nobody"], b"", 2, "unknown source 'nobody'"),
        (["--from", "no-such-file"], b"", 4, "there is no such file"),
        (["--from", "-"], b"hello", 4, "no output that is known"),
        (["--from", "-"], b"\0\1\2", 4, "is no text"),
        (["--from", "-", "--doctor"], b"", 2, "--from reads a file"),
        (["--count", "2"], b"", 2, "--watch"),
        (["--watch", "0"], b"", 2, "0.2"),
    ],
)
def test_bad_requests_end_in_one_sentence(arguments: list[str], given: bytes, code: int, said: str) -> None:
    """A wrong option, file or text is one line on stderr and the documented exit code."""
    ran = probe(*arguments, given=given)
    assert ran.returncode == code
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stdout == ""


TAILNET = b"""{"BackendState": "Running", "Self": {"HostName": "box", "OS": "linux", "Online": true},
"Peer": {"k": {"HostName": "mini", "DNSName": "mini.example.ts.net.", "TailscaleIPs": ["100.64.0.31"]}}}"""
PROFILE = b"""{"SPMemoryDataType": [{"SPMemoryDataType": "8 GB"}]}"""


@pytest.mark.requirement("FR-TEL-RECORDED")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TAILNET, ("mini.example.ts.net", "100.64.0.31", "this one")),
        (PROFILE, ("8.0 GiB of memory",)),
        (b"gpu_uuid, pid, process_name, used_gpu_memory [MiB]\n", ("It tells of no accelerator",)),
    ],
)
def test_a_recorded_output_is_not_held_to_tell_of_devices(given: bytes, said: tuple[str, ...]) -> None:
    """What it tells is shown, machines of a network too, and nothing of what was tried on this machine."""
    ran = probe("--from", "-", given=given)
    assert ran.returncode == 0
    assert all(words in ran.stdout for words in said)
    assert "--doctor" not in ran.stdout
    jsonschema.validate(json.loads(probe("--from", "-", "--json", given=given).stdout), schema())


def test_a_recorded_output_of_an_engine_misses_no_device() -> None:
    """Of what a file does not speak of nothing is said, and what is little is not shown as nothing."""
    reply = {"models": [{"name": "a:1b", "digest": "d", "size": 9, "size_vram": 9}]}
    ran = probe("--from", "-", given=json.dumps(reply).encode())
    assert ran.returncode == 0, ran.stderr
    assert "a:1b" in ran.stdout
    assert "No accelerator" not in ran.stdout
    text = "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t7\ndrm-memory-vram:\t2048 KiB\n"
    assert "<0.1" in probe("--from", "-", given=text.encode()).stdout


def test_a_folder_is_no_recorded_output(tmp_path: Path) -> None:
    """A folder is refused in one sentence."""
    ran = probe("--from", str(tmp_path))
    assert ran.returncode == 4
    assert "cannot be read" in ran.stderr


@pytest.mark.requirement("FR-TEL-LOCAL")
def test_a_plan_can_be_on_this_machine() -> None:
    """``--device local`` plans on what is free here; a device that is not there is refused."""
    command = [
        sys.executable,
        "-m",
        "hwledger",
        "plan",
        "Qwen/Qwen3-0.6B",
        "--engine",
        "llama.cpp",
        "--device",
    ]
    ran = subprocess.run(
        [*command, "local", "--json"], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode in {0, 3}, ran.stderr
    assert json.loads(ran.stdout)["devices"]
    others = [["fit", "Qwen3-0.6B", "--device", "local", "--limit", "1"],
              ["compare", "Qwen/Qwen3-0.6B", "--device", "local", "--device", "RTX 4090"]]  # fmt: skip
    for arguments in others if "no accelerator was found" in ran.stdout else ():
        other = subprocess.run([*COMMAND[:-1], *arguments], capture_output=True, text=True, check=False,
                               timeout=120)  # fmt: skip
        assert "Note: no accelerator was found" in other.stdout, other.stderr
    refused = subprocess.run([*command, "local 99"], capture_output=True, text=True, check=False, timeout=120)
    assert refused.returncode == 2
    assert "this machine has no device 99" in refused.stderr
