"""The lists that print JSON follow the schemas that ship, and print no key that those do not name."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from hwledger.cli import hwledger as command
from hwledger.planner.document import schema
from support import tiny

BENCH = """
| model         |     size | params | backend | ngl |  test |          t/s |
| ------------- | -------: | -----: | ------- | --: | ----: | -----------: |
| llama 7B Q4_0 | 3.56 GiB | 6.74 B | CUDA    |  99 | tg128 | 150.0 ± 0.50 |
"""
RIG = """
[[device]]
name = "my card"
memory = "20GiB"

[[node]]
name = "rig"
devices = ["my card", "RTX 3090"]
host_memory = "64GiB"
host_rates = { fp32 = "1T" }
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWLEDGER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HWLEDGER_DEVICES", str(tmp_path / "devices.toml"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "models"))
    (tmp_path / "devices.toml").write_text(RIG, "utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny-Q4_0.gguf").write_bytes(tiny.gguf_file())
    (tmp_path / "models" / "broken-Q4_0.gguf").write_bytes(b"no header")


def printed(*words: str) -> Any:
    """Return the document that a call prints."""
    done = CliRunner().invoke(command, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def closed(part: Any) -> Any:
    """Return a schema that refuses every key that it does not name."""
    if isinstance(part, list):
        return [closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: closed(value) for key, value in part.items()}
    return {**made, "additionalProperties": False} if "properties" in part else made


@pytest.mark.requirement("FR-PLAN-JSON")
@pytest.mark.parametrize(
    ("name", "words", "parts"),
    [
        ("hwledger.devices/1", ("devices",), ("devices",)),
        ("hwledger.devices/1", ("devices", "--nodes"), ("nodes",)),
        ("hwledger.devices/1", ("devices", "M2 Ultra 192GB wired=180GiB"), ("devices",)),
        ("hwledger.models/1", ("models", "tiny"), ("local",)),
        ("hwledger.models/1", ("models", "--catalogue"), ("models",)),
        ("hwledger.models/1", ("models", "--local", "--no-fit"), ("local",)),
        ("hwledger.accuracy/1", ("accuracy", "--engine", "mlx", "--engine", "vllm"), ("summaries", "cases")),
    ],
)
def test_what_is_printed_follows_its_schema(
    name: str, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    """Real output validates, and each key of it is named in the schema."""
    found = printed(*words)
    jsonschema.validate(found, closed(schema(name)))
    assert all(found[part] for part in parts)


@pytest.mark.requirement("FR-PLAN-JSON", "FR-SPEED-CALIBRATION")
def test_measured_runs_follow_their_schema(tmp_path: Path) -> None:
    """A run that was read, and no runs."""
    jsonschema.validate(printed("calibrate", "--list"), closed(schema("hwledger.calibration/1")))
    file = tmp_path / "bench.md"
    file.write_text(BENCH, "utf-8")
    read = ["calibrate", "--from", str(file), "--model", "meta-llama/Llama-2-7b-hf", "--weights", "Q4_0",
            "--device", "RTX 4090"]  # fmt: skip
    assert CliRunner().invoke(command, read).exit_code == 0
    found = printed("calibrate", "--list")
    jsonschema.validate(found, closed(schema("hwledger.calibration/1")))
    assert found["points"][0]["measured"] == 150


@pytest.mark.requirement("FR-PLAN-JSON")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("devices", {"devices": [{"name": "x"}]}),
        ("models", {"models": [{"id": ""}], "local": [], "machine": None}),
        ("calibration", {"points": [{"measured": -1}]}),
        ("accuracy", {"summaries": [], "cases": None}),
    ],
)
def test_what_is_wrong_is_refused(name: str, change: dict[str, Any]) -> None:
    """A schema that takes anything would prove nothing."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": f"hwledger.{name}/1", **change}, schema(f"hwledger.{name}/1"))
