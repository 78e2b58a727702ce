"""Write the examples of docs/export.md: ``python tools/export_page.py``.

Each block between ``<!-- example -->`` and ``<!-- end -->`` is what the command in it prints; a test holds
that the page is what this script writes.
"""

import re
import shlex
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from hwledger.cli import hwledger
from support import tiny

EXAMPLE = "EXAMPLE.gguf"
PAGE = Path(__file__).parent.parent / "docs" / "export.md"
BLOCK = re.compile(
    r"<!-- example -->\n```console\n\$ (?P<command>hwledger .*)\n(?:.*\n)*?```\n<!-- end -->\n"
)


def page(text: str) -> str:
    """Return the page with every example as the program prints it now."""
    return BLOCK.sub(lambda found: example(found["command"]), text)


def example(command: str) -> str:
    """Return one block; EXAMPLE.gguf is a tiny model, whose folder is written as /models."""
    with TemporaryDirectory() as place:
        folder = Path(place) / ("m" * 60)  # longer than any column, so that columns do not depend on it
        folder.mkdir()
        (folder / EXAMPLE).write_bytes(tiny.gguf_file())
        words = [word.replace(EXAMPLE, f"{folder}/{EXAMPLE}") for word in shlex.split(command)[1:]]
        result = CliRunner().invoke(hwledger, words)
    if result.exit_code:
        raise SystemExit(f"{command}: {result.exception or result.stderr}")
    printed = result.stdout.replace(f"{folder}/", "/models/")
    return f"<!-- example -->\n```console\n$ {command}\n{printed}```\n<!-- end -->\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
