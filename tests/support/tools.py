"""Programs in ``PATH`` that answer as a test tells them."""

import json
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

from hwledger.telemetry.system import System
from support.kernel import machine
from support.samplers import Clock


@dataclass
class Tools:
    """A folder of programs, and what each was called with."""

    root: Path
    clock: Clock = field(default_factory=Clock)

    def add(self, name: str, script: str) -> None:
        """Write a program; its arguments are kept."""
        folder = self.root / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.root}/calls"\n{script}\n', "utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def say(self, name: str, **said: object) -> None:
        """Write a program that answers JSON by its first argument."""
        for word, document in said.items():
            (self.root / f"{name}.{word}.json").write_text(json.dumps(document), "utf-8")
        self.add(name, f'cat "{self.root}/{name}.$1.json"')

    def calls(self) -> list[str]:
        """Return what was called so far."""
        path = self.root / "calls"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def system(self) -> System:
        """Return a machine with that clock."""
        return replace(machine(self.root), clock=self.clock)
