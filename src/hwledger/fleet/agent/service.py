"""The agent as a service of systemd."""

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from hwledger.errors import InputError, UsageError

NAME: Final = "hwledger-agent.service"
_UNIT: Final = """\
[Unit]
Description=hwledger agent
Documentation=man:hwledger(1)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
Environment=HWLEDGER_DATA_DIR={data}
Restart=always
RestartSec=5
RestartPreventExitStatus=75
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={data}
PrivateTmp=yes
UMask=0077

[Install]
WantedBy={target}
"""
STOPPED: Final = 75
"""Exit code of an agent that was told to stop: the service is not started again."""


def unit(data: Path, *, of_user: bool) -> str:
    """Return the unit of the agent.

    Args:
        data: hwledger's data folder, which the agent writes to alone.
        of_user: it is a service of a user, not of the system.
    """
    words = [sys.executable, "-m", "hwledger", "agent", "run"]
    command = " ".join(_escaped(shlex.quote(word)) for word in words)
    target = "default.target" if of_user else "multi-user.target"
    return _UNIT.format(command=command, data=_escaped(str(data)), target=target)


def _escaped(text: str) -> str:
    """Return a text in which systemd sees no specifiers of its own."""
    if "\n" in text:
        raise UsageError("a folder whose name has a line break cannot stand in a unit; choose another one")
    return text.replace("%", "%%")


def place(*, of_user: bool) -> Path:
    """Return where the unit goes."""
    base = Path.home() / ".config/systemd/user" if of_user else Path("/etc/systemd/system")
    return base / NAME


def install(data: Path) -> tuple[Path, str]:
    """Write the unit; return where, and the commands that start it.

    Raises:
        InputError: it cannot be written.
        UsageError: this system has no systemd.
    """
    if not Path("/run/systemd/system").is_dir():
        raise UsageError("systemd does not run here; see the unit with --print, or start hwledger agent run")
    of_user = os.geteuid() != 0
    path = place(of_user=of_user)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(unit(data, of_user=of_user))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    scope = "systemctl --user" if of_user else "systemctl"
    return path, f"{scope} daemon-reload && {scope} enable --now {NAME}"
