"""``hwledger devices`` and devices of one's own, as a user calls them."""

import json
from pathlib import Path
from typing import Any

import pytest

from hwledger.cli import run as call
from hwledger.device.catalogue import devices
from hwledger.device.own import parse_own

DOCS = Path(__file__).parents[2] / "docs/devices.md"
GIB = 1 << 30


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Return what a call prints, its sentence on stderr where it fails."""
    assert call(["devices", *words]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Return the JSON that a call prints."""
    return json.loads(printed(capsys, *words, "--json"))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with the example of the documentation, named by the environment."""
    path = tmp_path / "mine.toml"
    path.write_text(example(), "utf-8")
    monkeypatch.setenv("HWLEDGER_DEVICES", str(path))
    return path


def example() -> str:
    """Return the TOML of the documentation."""
    return DOCS.read_text("utf-8").split("```toml\n")[1].split("```")[0]


@pytest.mark.requirement("FR-DEVICES-CLI")
def test_all_devices_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has every device of the catalogue, and words narrow it by vendor and generation."""
    assert len(document(capsys)["devices"]) == len(devices())
    hopper = document(capsys, "nvidia", "hopper")["devices"]
    assert {"H100 SXM 80GB", "H200 NVL"} <= {device["name"] for device in hopper}
    assert {device["architecture"] for device in hopper} == {"Hopper"}


@pytest.mark.requirement("FR-DEVICES-CLI")
def test_one_device_is_shown_with_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    """A name shows memory, rates, links and price, each with where it is from."""
    shown = printed(capsys, "RTX", "3090")
    for fact in (
        "24.00 GiB",
        "23.69 GiB",
        "measured",
        "936.2 GB/s",
        "71.2 T",
        "31.51 GB/s",
        "350 W",
        "USD",
        "Source:",
    ):
        assert fact in shown
    assert "bridge" in shown


@pytest.mark.requirement("FR-DEVICES-CLI")
def test_json_has_basis_and_source_of_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """The document has the documented keys; what is not known is null."""
    found = document(capsys, "mi300x")
    assert found["schema"] == "hwledger.devices/1"
    device = found["devices"][0]
    assert (device["name"], device["own"], device["parts"]) == ("MI300X", False, 1)
    assert device["usable"]["basis"] == "assumed"
    assert device["usable"]["source"]
    assert device["link"] == {"name": "Infinity Fabric", "bytes_per_second": 448 * 10**9}
    assert device["rates_per_second"]["fp8"] == pytest.approx(2.615e15)
    assert device["rates_per_second"]["fp4"] is None


@pytest.mark.requirement("FR-DEVICES-CLI")
def test_several_candidates_are_listed_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that fits several shows them, so that one can be chosen."""
    names = [device["name"] for device in document(capsys, "h100")["devices"]]
    assert names == ["H100 PCIe 80GB", "H100 SXM 80GB", "H100 NVL 94GB"]


@pytest.mark.requirement("FR-DEVICES-CLI", "FR-DEVICES-NODES")
def test_nodes_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A node shows its devices, link and host."""
    assert "p5.48xlarge" in printed(capsys, "--nodes")
    node = document(capsys, "dgx", "h100")["nodes"][0]
    assert (node["devices"], node["host_memory_bytes"]) == (["H100 SXM 80GB"] * 8, 2048 * GIB)
    assert "8x H100 SXM 80GB" in printed(capsys, "DGX", "H100")


@pytest.mark.requirement("FR-DEVICES-CLI", "NFR-BAD-INPUT")
@pytest.mark.parametrize("words", [["RTX 4090 16GB"], ["frobnicator"], ["rtx 4095"], ["RTX 4090 power=0"]])
def test_what_does_not_exist_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and exit code 2."""
    said = printed(capsys, *words, code=2)
    assert said.startswith("hwledger: ")
    assert said.count("\n") == 1


@pytest.mark.requirement("FR-DEVICES-OWN")
def test_the_example_of_the_documentation_is_read(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Own devices are marked, and the documented file means what the page says."""
    assert len(parse_own(example(), str(own)).nodes) == 1
    found = document(capsys, "--own")
    assert [device["name"] for device in found["devices"]] == ["RTX 3080 20GB (rebuilt)", "Frankencard"]
    assert all(device["own"] for device in found["devices"])
    assert [(node["name"], node["own"], node["mixed"]) for node in found["nodes"]] == [("rig", True, True)]
    assert "Frankencard, own" in printed(capsys, "frankencard")
    assert str(own) in document(capsys, "my", "3080")["devices"][0]["source"]


@pytest.mark.requirement("FR-DEVICES-OWN", "FR-PLAN-DEVICES")
def test_a_plan_is_made_on_own_devices(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--device rig`` plans on each of the node's devices."""
    assert own.is_file()
    code = call(["plan", "llama-3.1-8b", "--engine", "llama.cpp", "--device", "rig", "--json"])
    plan = json.loads(capsys.readouterr().out)
    assert code == 0
    names = [device["name"] for device in plan["devices"]]
    assert names == ["RTX 3090", "RTX 3090", "RTX 3080 20GB (rebuilt)", "Frankencard"]


@pytest.mark.requirement("FR-DEVICES-OWN", "NFR-BAD-INPUT")
def test_a_broken_file_is_an_input_error(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names file, line and key, and the exit code is 4."""
    own.write_text('[[device]]\nname = "my thing"\nmemory = 24\n', "utf-8")
    said = printed(capsys, "4090", code=4)
    assert f"{own}, line 3: device 1 ('my thing'), memory" in said
    assert call(["plan", "llama-3.1-8b", "--device", "4090"]) == 4
