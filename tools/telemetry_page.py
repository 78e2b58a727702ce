"""Write the tables of docs/telemetry.md from what each source declares: ``python tools/telemetry_page.py``.

Each block between ``<!-- coverage: VENDOR -->`` and ``<!-- end -->`` is a table; a test holds that the page
is what this script writes.
"""

import re
from pathlib import Path

from hwledger.telemetry.coverage import Setting
from hwledger.telemetry.engines.values import NO_WORD, ToldBy, engine_values
from hwledger.telemetry.exposition import names
from hwledger.telemetry.quantity import DEVICE, ENGINE, HOST, MEANINGS, Quantity
from hwledger.telemetry.reading import Reason
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.samplers import installed_samplers

PAGE = Path(__file__).parent.parent / "docs" / "telemetry.md"
BLOCK = re.compile(
    r"(<!-- (?P<kind>coverage|engines|metrics)(?:: (?P<vendor>\w+))? -->\n)(?:.*\n)*?(<!-- end -->\n)"
)


def page(text: str) -> str:
    """Return the page with every table as it is now."""
    return BLOCK.sub(_block, text)


def _block(found: re.Match[str]) -> str:
    make = {"metrics": metrics, "engines": engines}.get(found["kind"])
    return f"{found[1]}{make() if make else coverage(found['vendor'])}{found[4]}"


def coverage(vendor: str) -> str:
    """Return the table of one vendor: for each value and setting who tells it, or why nobody does."""
    samplers = [each for each in installed_samplers() if each.vendor == vendor]
    quantities = HOST if vendor == "host" else DEVICE
    lines = [f"| value | {' | '.join(Setting)} |", f"|---|{'---|' * len(Setting)}"]
    for quantity in quantities:
        cells = [_cell(samplers, quantity, setting) for setting in Setting]
        lines.append(f"| {MEANINGS[quantity].label} | {' | '.join(cells)} |")
    if vendor != "host":
        cells = [_processes(samplers, setting) for setting in Setting]
        lines.append(f"| processes | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(samplers: list[Sampler], quantity: Quantity, setting: Setting) -> str:
    telling = [each.name for each in samplers if each.coverage.cell(quantity, setting) is None]
    if telling:
        return ", ".join(telling)
    reasons = [each.coverage.cell(quantity, setting) for each in samplers]
    return f"*{_most_telling(reasons)}*"


def _processes(samplers: list[Sampler], setting: Setting) -> str:
    telling = [each.name for each in samplers if setting not in each.coverage.processes]
    reasons = [each.coverage.processes.get(setting) for each in samplers]
    return ", ".join(telling) if telling else f"*{_most_telling(reasons)}*"


def _most_telling(reasons: list[Reason | None]) -> Reason:
    told = [reason for reason in reasons if reason not in {None, Reason.UNSUPPORTED}]
    return next((reason for reason in told if reason), Reason.UNSUPPORTED)


def engines() -> str:
    """Return the table of engines: how a running one is asked for each value, else its log, else why not."""
    told = engine_values()
    lines = [f"| value | {' | '.join(told)} |", f"|---|{'---|' * len(told)}"]
    for quantity in ENGINE:
        cells = [_told(cells[quantity]) for cells in told.values()]
        if any(not cell.startswith("*") for cell in cells):
            lines.append(f"| {MEANINGS[quantity].label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _told(cell: ToldBy) -> str:
    if cell.live:
        return cell.live
    why = "unsupported" if cell.why_not == NO_WORD else cell.why_not
    return f"log: {cell.log}" if cell.log else f"*{why}*"


def metrics() -> str:
    """Return the table of metrics."""
    lines = ["| metric | OpenTelemetry | what it is |", "|---|---|---|"]
    for quantity, name in names().items():
        labels = "".join(f'{{{key}="{value}"}}' for key, value in name.labels.items())
        total = "_total" if MEANINGS[quantity].counts else ""
        otel = f"`{name.otel}`" if name.otel else ""
        lines.append(f"| `{name.name}{total}{labels}` | {otel} | {MEANINGS[quantity].help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
