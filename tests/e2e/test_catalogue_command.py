"""``hwledger catalogue`` as a user calls it."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hwledger.cli import run as call
from hwledger.library.catalogue.active import forget
from support.process import run
from support.web_server import WebServer, file

SHIPPED = Path(__file__).parents[2] / "src/hwledger/library/data/catalogue.jsonl"
MODELS = len(SHIPPED.read_bytes().splitlines())
NEW = {
    "id": "example/Newcomer-1B", "aliases": ["newcomer"], "tags": ["dense"], "source": "a test",
    "config": {"hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 2048,
               "model_type": "llama", "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 100},
}  # fmt: skip


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Return a catalogue like the one in the package, without its first model and with another one."""
    lines = SHIPPED.read_bytes().splitlines(keepends=True)
    path = tmp_path / "newer.jsonl"
    path.write_bytes(b"".join(lines[1:]) + json.dumps(NEW).encode() + b"\n")
    return path


@pytest.fixture
def address(newer: Path) -> Iterator[str]:
    """Return the address of that catalogue on a server of this machine."""
    with WebServer({f"/{newer.name}": file(newer.read_bytes())}) as server:
        yield f"{server.url}/{newer.name}"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Return what a call prints as JSON."""
    capsys.readouterr()
    assert call(["catalogue", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_a_name_is_planned_after_an_update_and_gone_after_undo(newer: Path) -> None:
    """Each call is a process of its own: what one installed the next one plans from."""
    assert run("plan", "newcomer").returncode == 4
    done = run("catalogue", "update", str(newer))
    assert done.returncode == 0, done.stderr
    assert "added: 1 (example/Newcomer-1B)" in done.stdout
    assert "removed: 1 (01-ai/Yi-34B)" in done.stdout
    assert run("plan", "newcomer").returncode == 0
    assert "Newcomer-1B" in run("models", "newcomer").stdout
    assert run("catalogue", "undo").stdout.startswith("in use: shipped\n")
    gone = run("plan", "newcomer")
    assert (gone.returncode, gone.stderr.count("Traceback")) == (4, 0)


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_every_command_answers_in_json(newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version, path and state agree between the commands."""
    version = sha256(newer.read_bytes()).hexdigest()[:12]
    shipped = answer(capsys, "path")
    assert Path(shipped["path"]) == SHIPPED
    done = answer(capsys, "update", str(newer))
    assert (done["version"], done["added"], done["previous"]) == (version, [NEW["id"]], "shipped")
    assert Path(answer(capsys, "path")["path"]).read_bytes() == newer.read_bytes()
    listed = answer(capsys, "list")["versions"]
    assert [(one["version"], one["active"]) for one in listed] == [
        (shipped["version"], False), (version, True)
    ]  # fmt: skip
    assert answer(capsys, "pin", "shipped")["previous"] == version
    assert answer(capsys, "pin", version[:6])["version"] == version
    assert answer(capsys, "undo")["version"] == "shipped"
    assert answer(capsys, "undo")["version"] == version


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_the_commands_speak_to_people(newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` marks the one in use, ``path`` prints a path and nothing else."""
    assert call(["catalogue", "update", str(newer)]) == 0
    assert call(["catalogue", "update", str(newer)]) == 0
    assert "the models are those of before" in capsys.readouterr().out
    assert call(["catalogue", "list"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("*")]
    assert len(rows) == 1
    assert str(MODELS) in rows[0].split()
    assert call(["catalogue", "path"]) == 0
    assert Path(capsys.readouterr().out.removesuffix("\n")).is_file()


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.enable_socket
def test_an_update_from_an_address(address: str, newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The digest is compared with what the server sent; a missing page changes nothing."""
    digest = sha256(newer.read_bytes()).hexdigest()
    assert call(["catalogue", "update", address, "--sha256", "0" * 64]) == 4
    assert call(["catalogue", "update", f"{address}.none"]) in {4, 5}
    assert len(answer(capsys, "list")["versions"]) == 1
    assert answer(capsys, "update", address, "--sha256", digest)["source"] == address
    assert call(["plan", "newcomer"]) == 0


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["update", "http://example.org/c.jsonl"], 2, "https://"),
        (["update", "ftp://example.org/c.jsonl"], 2, "https://"),
        (["update", "no-such-file"], 4, "no such file"),
        (["update", "newer.jsonl", "--sha256", "12"], 2, "64 hexadecimal digits"),
        (["pin", "nothing"], 2, "known: shipped"),
        (["undo"], 2, "undo"),
        (["unheard-of"], 2, "unheard-of"),
        ([], 2, "Missing command"),
    ],
)
def test_what_cannot_be_done_ends_in_one_sentence(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr and the documented exit code."""
    assert call(["catalogue", *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_a_smaller_catalogue_needs_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the option, and with it the catalogue is installed."""
    path = tmp_path / "small.jsonl"
    path.write_text(json.dumps(NEW))
    assert call(["catalogue", "update", str(path)]) == 4
    assert "--force" in capsys.readouterr().err
    assert len(answer(capsys, "update", str(path), "--force")["removed"]) == MODELS


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_planning_says_that_the_catalogue_is_damaged(newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan by name ends with code 4 and the command that helps; that command helps."""
    assert call(["catalogue", "update", str(newer)]) == 0
    path = Path(answer(capsys, "path")["path"])
    path.write_bytes(path.read_bytes()[:-10])
    forget()  # as a process of its own would not know what was read before
    assert call(["plan", "gpt2"]) == 4
    assert "hwledger catalogue pin shipped" in capsys.readouterr().err
    assert call(["catalogue", "pin", "shipped"]) == 0
    assert call(["plan", "gpt2"]) == 0
