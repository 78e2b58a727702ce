"""Tabulate ``src/hwledger/device/data/accelerators.csv`` from a sheet of accelerators and our own tables.

Usage: ``python tools/tabulate_accelerators.py SHEET.csv [TABLE.csv]``. Our tables in ``tools/accelerators``:

- ``cards.csv``: which cards are listed, under which name, from which row of the sheet; memory sizes, compute
  units, what a driver reported, aliases;
- ``apple.csv``: the same for Apple's chips, a row per number of GPU cores;
- ``architectures.csv``: which number types a generation multiplies, and which column says how fast;
- ``rules.csv``: usable memory where nothing was measured; ``working_sets.csv``: Apple's, by memory size;
- ``corrections.csv``: figures that the sheet lacks or has wrong, each with its source; ``-`` is "not known";
- ``prices.csv``: what a card cost, when.
"""

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from hwledger.device.words import words_of

Row = dict[str, str]
OWN: Final = Path(__file__).parent / "accelerators"
TARGET: Final = Path(__file__).parent.parent / "src/hwledger/device/data/accelerators.csv"
MIB: Final = 1 << 20
GIB: Final = 1 << 30
RATES: Final = ("fp32", "fp16", "fp16_acc16", "bf16", "fp8", "fp4", "int8")
COLUMNS: Final = (
    "name", "parts", "rare", "vendor", "category", "architecture", "compute_capability", "units",
    "memory_bytes",
    "memory_type", "usable_bytes", "usable_basis", "context_bytes", "context_basis",
    "bandwidth_bytes_per_second", "unified",
    *(f"{kind}_tera" for kind in RATES), "link", "link_bytes_per_second", "bridge", "bridge_bytes_per_second",
    "pcie", "pcie_bytes_per_second", "tdp_watts", "released", "price", "price_currency", "price_date",
    "price_source", "spellings", "source", "usable_source", "context_source",
)  # fmt: skip
SPEC_PAGES: Final = "https://www.techpowerup.com/gpu-specs/"
UNIFIED: Final = frozenset({"apple", "apu", "embedded", "desktop-soc"})
OTHER_CONTEXT_MIB: Final = {"AMD": 400, "": 300}
LANES_PER_APPLE_CORE: Final = 128
MATRIX_FLOPS_PER_M5_CORE: Final = 1024


def main() -> None:
    """Write the catalogue and print how much it holds."""
    sheet = {row["name"]: row for row in read(Path(sys.argv[1]))}
    fixes: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in read(OWN / "corrections.csv"):
        fixes[row["card"]][row["column"]] = row
    prices = {row["card"]: row for row in read(OWN / "prices.csv")}
    cards = [
        card_row(card, sheet[card["sheet"]], fixes.get(card["name"], {})) for card in read(OWN / "cards.csv")
    ]
    cards += [apple_row(chip, sheet[chip["sheet"]]) for chip in apple_chips(read(OWN / "apple.csv"))]
    if lost := (fixes.keys() | prices.keys()) - {card["name"] for card in cards}:
        sys.exit(f"corrections or prices of unknown cards: {', '.join(sorted(lost))}")
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else TARGET  # noqa: PLR2004 - the second argument
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(card | price(prices.get(card["name"])) for card in cards)
    print(len(cards), "accelerators", target.stat().st_size, "bytes")


def price(row: Row | None) -> Row:
    """Return the columns of a price."""
    if row is None:
        return {}
    named = {f"price_{column}": row[column] for column in ("currency", "date", "source")}
    return {"price": row["amount"], **named}


def read(path: Path) -> list[Row]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def card_row(card: Row, sheet: Row, fixed: dict[str, Row]) -> Row:
    """Return one row of the catalogue for a card that is not Apple's."""
    facts = {
        "vendor": sheet["vendor"], "category": sheet["category"], "tdp_watts": sheet["tdp_W"],
        "compute_capability": sheet["compute_capability"], "pcie": sheet["pcie"].removeprefix("PCIe "),
        "memory_gib": card["memory_gib"], "memory_type": memory_type(sheet["mem_type"]),
        "bandwidth": sheet["bandwidth_GBps"], "released": sheet["release_year"], "arch": sheet["arch"],
        "units": card["units"], **links(sheet),
    }  # fmt: skip
    values = {column: "" if row["value"] == "-" else row["value"] for column, row in fixed.items()}
    facts |= {column: value for column, value in values.items() if column not in RATES}
    generation = architecture(facts["arch"], sheet)
    rates = dense_rates(sheet, generation, values)
    memory = round(float(facts["memory_gib"]) * GIB)
    return {
        "name": card["name"], "parts": card["parts"], "rare": card["rare"],
        "spellings": spellings(card["name"], card["aliases"]),
        "memory_bytes": str(memory), "architecture": generation["architecture"],
        "bandwidth_bytes_per_second": scaled(facts["bandwidth"], 1e9),
        "unified": "yes" if facts["category"] in UNIFIED else "",
        **{k: v for k, v in facts.items() if k in COLUMNS}, **{f"{k}_tera": v for k, v in rates.items()},
        **usable_memory(card, memory), **context(card, generation, facts["vendor"]),
        "source": "; ".join([specs_source(sheet), *corrected(fixed)]),
    }  # fmt: skip


def corrected(fixed: dict[str, Row]) -> Iterator[str]:
    """Yield each source of corrections with the columns that are from it."""
    by_source: dict[str, list[str]] = defaultdict(list)
    for column, row in fixed.items():
        if column != "arch":
            by_source[row["source"]].append(column.removesuffix("_bytes_per_second"))
    for source, columns in by_source.items():
        yield f"{', '.join(dict.fromkeys(columns))}: {source}"


def spellings(name: str, aliases: str) -> str:
    """Return the words of a name and of its other names, so that the package need not make them each time."""
    names = [name, *(alias for alias in aliases.split(";") if alias.strip())]
    return ";".join(" ".join(words_of(each)) for each in names)


def usable_memory(card: Row, memory: int) -> Row:
    """Return what programs can use: what a driver reported, else the share that a rule says."""
    wanted = card["usable"]
    if wanted.endswith(" MiB"):
        size, basis, why = float(wanted.removesuffix(" MiB")) * MIB, "measured", card["usable_source"]
    else:
        rule = next(row for row in read(OWN / "rules.csv") if row["rule"] == wanted)
        size = memory * float(rule["share"]) - float(rule["less_mib"]) * MIB
        basis, why = "assumed", rule["source"]
    return {"usable_bytes": str(round(size)), "usable_basis": basis, "usable_source": why}


def context(card: Row, generation: Row, vendor: str) -> Row:
    """Return what one process's context takes: as measured, per compute unit, or as cards of the vendor."""
    if card["context_mib"]:
        size, basis, why = float(card["context_mib"]), "measured", card["context_source"]
    elif generation["context_mib_per_unit"] and card["units"]:
        size = float(generation["context_mib_per_unit"]) * int(card["units"])
        basis, why = (
            "assumed",
            f"{generation['context_mib_per_unit']} MiB per SM, as {generation['context_like']}",
        )
    else:
        size = OTHER_CONTEXT_MIB.get(vendor, OTHER_CONTEXT_MIB[""])
        basis, why = "assumed", "like other cards"
    return {"context_bytes": str(round(size * MIB)), "context_basis": basis, "context_source": why}


def architecture(arch: str, sheet: Row) -> Row:
    """Return the row of the generation that a card is of."""
    if arch == "Turing" and "no tensor cores" in sheet.get("notes", ""):
        arch = "Turing GTX"
    for row in read(OWN / "architectures.csv"):
        if row["sheet_arch"] == arch and row["capability"] in {"", sheet.get("compute_capability", "")}:
            return row
    sys.exit(f"{sheet.get('name')}: no row of architectures.csv for {arch!r}")


def dense_rates(sheet: Row, generation: Row, fixed: Row) -> Row:
    """Return the dense rates per number type in 10**12 a second, as text; ``fixed`` has precedence."""
    found = {
        "fp32": sheet["fp32_tflops"], "fp8": sheet["fp8_dense_tflops"], "fp4": sheet["fp4_dense_tflops"],
        "int8": sheet["int8_dense_tops"], "sheet": sheet["fp16_bf16_dense_tflops"],
        "sheet_acc16": sheet["fp16_acc16_dense_tflops"], **fixed,
    }  # fmt: skip
    for kind in ("fp16", "fp16_acc16", "bf16"):
        found[kind] = fixed[kind] if kind in fixed else said(generation[kind], found)
    return {kind: found[kind] for kind in RATES}


def said(rule: str, found: Row) -> str:
    """Return what a rule such as ``fp32/64`` or ``sheet`` says; empty where that is not known."""
    name, _, divisor = rule.partition("/")
    value = found.get(name, "") if name else ""
    return f"{float(value) / int(divisor):.4g}" if value and divisor else value


def links(sheet: Row) -> Row:
    """Return link and bridge with bytes per second and direction; the sheet counts both directions."""
    name = sheet.get("interconnect", "")
    each = scaled(sheet.get("interconnect_GBps_bidir", ""), 1e9 / 2)
    kind = "bridge" if "bridge" in name else "link"
    return {kind: name.removesuffix(" bridge"), f"{kind}_bytes_per_second": each} if each else {}


def memory_type(text: str) -> str:
    """Return the kind of memory: ``GDDR6``, ``HBM3``, ``LPDDR5X``."""
    match = re.search(r"(GDDR|HBM|LPDDR)\d?[a-zA-Z]?", text)
    return match[0] if match else ""


def scaled(text: str, factor: float) -> str:
    """Return a number of the sheet in whole units; empty stays empty."""
    return str(round(float(text) * factor)) if text else ""


def specs_source(sheet: Row) -> str:
    """Return the page that a row of the sheet is from."""
    pages = [part for part in sheet.get("source", "").split("; ") if part.startswith(SPEC_PAGES)]
    return pages[0] if pages else sheet.get("source", "").split(" (entered")[0]


def apple_chips(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield a chip per memory size, and per number of GPU cores where a size is sold with several."""
    by_size: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        for size in row["memory_gib"].split():
            by_size[row["chip"], int(size)].append(row)
    for (chip, size), bins in by_size.items():
        plain = f"{chip} {size}GB"
        if len(bins) > 1:
            note = f"GPU cores: not stated, the smaller of {' and '.join(b['cores'] for b in bins)}"
            yield {**bins[0], "name": plain, "size": str(size), "note": note, "aliases": ""}
            for row in bins:
                yield {
                    **row,
                    "name": f"{chip} {row['cores']}-core {size}GB",
                    "size": str(size),
                    "note": "",
                    "aliases": "",
                }
        else:
            full = f"{chip} {bins[0]['cores']}-core {size}GB"
            yield {**bins[0], "name": plain, "size": str(size), "note": "", "aliases": full}


def apple_row(chip: Row, sheet: Row) -> Row:
    """Return one row of the catalogue for a chip of Apple's."""
    memory = int(chip["size"]) * GIB
    share = next(row for row in read(OWN / "working_sets.csv") if row["memory_gib"] == chip["size"])
    usable = float(share["share"]) * memory
    rates = apple_rates(chip, sheet)
    clock = (
        f"rates: {chip['cores']} cores at {chip['ghz']} GHz, {chip['clock_source']}" if chip["ghz"] else ""
    )
    parts = ["Apple specifications", clock, chip["note"]]
    return {
        "name": chip["name"], "vendor": "Apple", "category": "apple", "units": chip["cores"],
        "architecture": f"Apple {chip['chip'].split()[0]}", "memory_bytes": str(memory),
        "memory_type": "LPDDR", "usable_bytes": str(round(usable)), "context_bytes": "0",
        "usable_basis": share["basis"],
        "context_basis": "assumed", "context_source": "Metal keeps none",
        "bandwidth_bytes_per_second": scaled(sheet["bandwidth_GBps"], 1e9), "unified": "yes",
        **{f"{kind}_tera": value for kind, value in rates.items()}, "released": sheet["release_year"],
        "spellings": spellings(chip["name"], chip["aliases"]),
        "source": "; ".join(part for part in parts if part),
        "usable_source": f"recommended working set: {share['source']}",
    }  # fmt: skip


def apple_rates(chip: Row, sheet: Row) -> Row:
    """Return the dense rates of a chip of Apple's; before M5, fp16 runs at the fp32 rate."""
    cores, ghz = int(chip["cores"]), float(chip["ghz"] or 0)
    fp32 = sheet["fp32_tflops"] or f"{cores * LANES_PER_APPLE_CORE * 2 * ghz / 1e3:.4g}"
    if not chip["chip"].startswith("M5"):
        bf16 = "" if chip["chip"].startswith("M1") else fp32
        return {"fp32": fp32, "fp16": fp32, "fp16_acc16": fp32, "bf16": bf16}
    matrix = cores * MATRIX_FLOPS_PER_M5_CORE * ghz / 1e3
    fp16 = f"{matrix:.4g}"
    return {"fp32": fp32, "fp16": fp16, "fp16_acc16": fp16, "bf16": fp16, "int8": f"{2 * matrix:.4g}"}


if __name__ == "__main__":
    main()
