"""The agent as a service of systemd."""

import os
import sys
from pathlib import Path
from typing import Final

from hwledger.errors import InputError, UsageError

NAME: Final = "hwledger-agent.service"
_UNIT: Final = """\
[Unit]
Description=hwledger agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
Restart=always
RestartSec=5
RestartPreventExitStatus={stopped}
SuccessExitStatus={stopped}
TimeoutStopSec=15
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={folder}
PrivateTmp=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy={target}
"""
STOPPED: Final = 75
"""Exit code of an agent that was told to stop: the service is not started again."""


def unit(folder: Path, *, of_user: bool) -> str:
    """Return the unit of the agent.

    Devices stay reachable (no ``PrivateDevices``): it is they that are looked at.

    Args:
        folder: the agent's, which it writes to alone.
        of_user: it is a service of a user, not of the system.

    Raises:
        UsageError: the folder's name cannot stand in a unit.
    """
    words = [sys.executable, "-m", "hwledger", "agent", "run", "--folder", str(folder)]
    return _UNIT.format(
        command=" ".join(_quoted(word) for word in words),
        folder=_quoted(str(folder)),
        stopped=STOPPED,
        target="default.target" if of_user else "multi-user.target",
    )


def _quoted(text: str) -> str:
    """Return a word of a unit: systemd quotes with double quotes and has specifiers and variables of its own.

    Raises:
        UsageError: it has a character that cannot stand there.
    """
    if not text.isprintable():
        raise UsageError("a folder whose name has a line break cannot stand in a unit; choose another one")
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return text if text.replace("/", "").replace("-", "").replace(".", "").isalnum() else f'"{text}"'


def place(*, of_user: bool) -> Path:
    """Return where the unit goes."""
    base = Path.home() / ".config/systemd/user" if of_user else Path("/etc/systemd/system")
    return base / NAME


def install(folder: Path) -> tuple[Path, str]:
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
        path.write_text(unit(folder, of_user=of_user))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    scope = "systemctl --user" if of_user else "systemctl"
    return path, f"{scope} daemon-reload && {scope} enable --now {NAME}"
