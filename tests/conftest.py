"""Fixtures that every test may use."""

import os
from itertools import count
from pathlib import Path

import pytest

NUMBERS = count()
SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of reference data beside the checkout; skip, with a word, where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the reference data beside the checkout is absent")
    return SHARED


def pytest_configure() -> None:
    """Hide the user's own folders while tests are collected, too: some are listed from the catalogue."""
    for name in ("HWLEDGER_DATA_DIR", "HWLEDGER_CACHE_DIR"):
        os.environ[name] = str(Path(__file__).parent / "no-such-folder")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own data and cache folder, which need not exist: the user's are never touched."""
    base = tmp_path_factory.getbasetemp() / f"hwledger-{next(NUMBERS)}"
    monkeypatch.setenv("HWLEDGER_DATA_DIR", str(base / "data"))
    monkeypatch.setenv("HWLEDGER_CACHE_DIR", str(base / "cache"))
