"""The accuracy screen: predictions beside measurements, summed up."""

from collections.abc import Sequence
from typing import Any

from hwledger.accuracy import Result, Summary

Heads = tuple[tuple[str, bool], ...]
SUMMARY_HEADS: Heads = (
    ("engine", False), ("component", False), ("cases", False), ("count", True), ("exact", True),
    ("median error", True), ("p90 error", True), ("worst error", True), ("in interval", True),
    ("worst case", False),
)  # fmt: skip
CASE_HEADS: Heads = (
    ("engine", False), ("component", False), ("case", False), ("measured", True), ("predicted", True),
    ("error", True), ("in interval", False),
)  # fmt: skip


def summary_rows(summaries: Sequence[Summary]) -> tuple[Heads, list[tuple[str, ...]]]:
    """Return the table of summaries."""
    return SUMMARY_HEADS, [
        (s.engine, s.component, s.regime, str(s.count), str(s.exact), f"{s.median_error:.2%}",
         f"{s.p90_error:.2%}", f"{s.worst_error:.2%}", "" if s.inside is None else f"{s.inside:.0%}",
         s.worst_case)
        for s in summaries
    ]  # fmt: skip


def case_rows(results: Sequence[Result]) -> tuple[Heads, list[tuple[str, ...]]]:
    """Return the table of cases that are not exact, the worst first."""
    inexact = sorted((r for r in results if not r.exact), key=lambda r: -abs(r.error))
    return CASE_HEADS, [
        (r.engine, r.component, r.case, f"{r.measured:,.10g}", f"{r.predicted:,.10g}", f"{r.error:+.2%}",
         {None: "", True: "yes", False: "no"}[r.inside])
        for r in inexact
    ]  # fmt: skip


def accuracy_document(results: Sequence[Result], summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return the whole replay for JSON."""
    return {
        "schema": "hwledger.accuracy/1",
        "summaries": [
            {"engine": s.engine, "component": s.component, "regime": s.regime, "count": s.count,
             "exact": s.exact, "median_error": s.median_error, "p90_error": s.p90_error,
             "worst_error": s.worst_error,
             "inside_interval": s.inside}
            for s in summaries
        ],
        "cases": [
            {"engine": r.engine, "component": r.component, "regime": r.regime, "case": r.case,
             "measured": r.measured, "predicted": r.predicted, "error": r.error, "exact": r.exact,
             "inside_interval": r.inside, "source": r.source}
            for r in results
        ],
    }  # fmt: skip


LEFT_OUT = (
    "## Reading the speeds",
    "",
    "`left out` means that the device, the model, or model, device and engine together, were in no fit",
    "that predicts the row: these are the errors to expect of hardware and models that were never",
    "measured. The interval of a row is of errors in which its device, or its model, had no part. Where",
    "errors are large, the measurements are few or contradict each other:",
    "",
    "- **AMD**: one card is most of what there is at depth, with experts and on several cards; leaving it",
    "  out leaves little to learn from. On Vulkan its driver and the age of the build's matrix kernels are",
    "  known and modelled; decoding one file on one card still differs by 1.4 between tables.",
    "- **Prefill of mixtures of experts**: kernels changed within the months that one table was collected",
    "  in, and it does not say which build a row is of.",
    "- **Prefill over several cards** overlaps as far as one host thread can launch kernels for all of",
    "  them; hosts differ, and the tables say little of them.",
    "- **Programs around an engine**: which build and how much of a model ran on the card is not printed.",
    "- **Time to the first token under load** hangs on what the scheduler is set to. The recipes of the",
    "  public tables let SGLang look for prompts every 10 or 30 decoding steps (288 rows), and TensorRT-LLM",
    "  gather them for 20 or 40 (56 rows): its second mode. Those steps are counted as printed, without a",
    "  constant; where nothing is set none are, and the same rows miss by 44 % and 37 % at the median in",
    "  place of 25 % and 29 %. Not explained: one request in each round of NVIDIA's rows of an 8B model",
    "  (177) seems to wait for a whole answer. Of 145 settings that were measured more than once two",
    "  measurements differ by 7 % at the median and 74 % at the 90th percentile, SGLang's by 47 % and",
    "  198 %: a model that gave each setting its mean would still miss by 4 % and 34 %, on SGLang's by",
    "  21 % and 57 %.",
    "- **Apple, decoding K-quants**: the largest misses are four rows of one M1 Max, of a table whose f16",
    "  on it is 8 to 14 % slow as well. No time of unpacking is added: K-quants on two other chips of the",
    "  same table are not slow, and 4-bit weights on chips of a like rate per byte miss by -22 to +11 %.",
    "- **Old tables**: measurements of 2023 and early 2024 ran other kernels; their effect is fitted and",
    "  not predicted.",
)


def accuracy_page(summaries: Sequence[Summary]) -> str:
    """Return the docs page, in Markdown."""
    heads, rows = summary_rows(summaries)
    lines = [
        "# Accuracy",
        "",
        "Generated by `make accuracy`: every measurement that ships in the package, replayed. A case is",
        "exact when the prediction equals the measurement as far as that was printed; errors are absolute",
        "shares of the measurement; the interval is the stated 80 % one.",
        "",
        "| " + " | ".join(name for name, _ in heads) + " |",
        "|" + "|".join("---:" if right else "---" for _, right in heads) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        *LEFT_OUT,
    ]
    return "\n".join(lines) + "\n"
