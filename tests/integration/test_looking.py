"""Looking at engines by their process: what does not answer is planned by its command line."""

import os
from pathlib import Path

import pytest

from hwledger import looking
from hwledger.cli import run as cli
from hwledger.errors import UnreachableError, UsageError
from hwledger.looking import Asked, look_at_model, look_at_process, look_at_server
from hwledger.reconcile.term import Seen
from hwledger.telemetry.engines.live.whose import Owner
from support import tiny
from support.checkpoints import put

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-REC-PROCESS")]


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Owner:
    """Have this process be an MLX server that does not answer."""
    model = put(tmp_path / "tiny", tiny.plain())
    owner = Owner(os.getpid(), "mlx", ("mlx_lm.server", "--model", str(model)), ())
    monkeypatch.setattr(looking, "owner_of", lambda _: owner)
    return owner


def test_a_silent_engine_is_planned_by_its_command(owned: Owner) -> None:
    """Its process is seen, its buffers are not, and each says why."""
    found = look_at_process(owned.pid, Asked()).found
    assert (found.engine, found.planned_as) == ("mlx", "mlx")
    assert isinstance(found.accounts[0].whole, Seen)
    assert not any(isinstance(term.seen, Seen) for term in found.terms)


def test_an_address_that_tells_no_model_is_seen_by_its_process(
    owned: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this machine alone: elsewhere it is one sentence."""
    monkeypatch.setattr(looking, "pid_at", lambda _: owned.pid)
    assert look_at_server("http://127.0.0.1:9", Asked()).found.engine == "mlx"
    monkeypatch.setattr(looking, "pid_at", lambda _: None)
    with pytest.raises(UnreachableError):
        look_at_server("http://127.0.0.1:9", Asked())


def test_what_is_no_engine_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this process nor one that is not there; a model that is named helps."""
    with pytest.raises(UsageError, match="no process 4194305"):
        look_at_process((1 << 22) + 1, Asked())
    monkeypatch.setattr(looking, "owner_of", lambda pid: Owner(pid, "", ("editor", "x"), ()))
    with pytest.raises(UsageError, match="no engine that is known"):
        look_at_process(os.getpid(), Asked())
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    asked = Asked(model=str(path), engine="llama.cpp", options=("n_gpu_layers=0",))
    found = look_at_process(os.getpid(), asked)
    assert found.plan.engine == "llama.cpp"
    assert found.found.accounts[0].inside is not None


@pytest.mark.parametrize(
    ("words", "code"),
    [(["reconcile"], 2), (["reconcile", "last", "--pid", "1"], 2), (["reconcile", "--explain", "1GiB"], 2),
     (["reconcile", "nothing-here", "--explain", "1GiB"], 4),
     (["reconcile", "last", "--explain", "1GiB"], 2)],
)  # fmt: skip
def test_bad_requests_are_one_sentence(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to name is said."""
    assert cli(words) == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_command_line_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A figure of elsewhere, by what runs there: nothing was seen, all of it is planned."""
    model = put(tmp_path / "tiny", tiny.plain())
    looked = look_at_model(str(model), Asked(engine="vllm", device="RTX 4090"))
    assert looked.explained(1 << 30).where == "the devices"
    assert cli(["reconcile", f"vllm serve {model}", "--device", "RTX 4090", "--explain", "21GiB"]) == 0
    out = capsys.readouterr().out
    assert "unexplained" in out
    assert "are explained" in out
