"""``plan --solve``, ``--what-if`` and ``--grid``, ``fit`` and ``compare`` as a user calls them."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from hwledger.planner.document import schema
from support.process import run

PLAN = ("plan", "Qwen/Qwen3-8B", "--engine", "llama.cpp", "--device", "RTX 3060 12GB")


def narrow(*arguments: str, columns: int = 80) -> str:
    """Return what is printed in a terminal of so many columns."""
    done = run(*arguments, columns=columns)
    assert done.returncode in {0, 3}, done.stderr
    return done.stdout


@pytest.mark.requirement("FR-SOLVE-CLI")
@pytest.mark.parametrize("unknown", ["context", "concurrency", "weights", "kv-cache", "devices", "all"])
def test_solutions_follow_the_schema_and_change_nothing_else(unknown: str) -> None:
    """A plan with solutions is the plan without them, and keys beside it."""
    knobs = () if unknown in {"weights", "all"} else ("--weights", "Q4_K_M")
    with_them = json.loads(run(*PLAN, *knobs, "--solve", unknown, "--json").stdout)
    without = json.loads(run(*PLAN, *knobs, "--json").stdout)
    jsonschema.validate(with_them, schema("hwledger.plan/1"))
    assert {one["role"] for one in with_them["solutions"]} >= {"answer"}
    assert with_them["search"]["unknown"]
    assert {key: with_them[key] for key in ("model", "engine", "workload", "memory", "fit")} == {
        key: without[key] for key in ("model", "engine", "workload", "memory", "fit")
    }
    assert without["cost"]["price_per_hour"] is None or without["cost"]["sources"]


@pytest.mark.requirement("FR-SOLVE-CLI", "FR-SOLVE-WHY-NOT")
def test_limits_that_nothing_holds_exit_with_3_and_the_nearest() -> None:
    """What is impossible is answered with the nearest possible, and why."""
    done = run(*PLAN, "--solve", "weights", "--tpot", "1ms")
    assert done.returncode == 3
    assert "nothing holds every limit; the nearest:" in done.stdout
    assert "over 1 ms" in done.stdout


@pytest.mark.requirement("FR-SOLVE-CLI", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "arguments",
    [("--solve", "price"), ("--solve", "all", "--ttft", "2x"), ("--solve", "all", "--max-price", "much"),
     ("--solve", "all", "--tpot", "0"), ("--solve", "all", "--min-tps", "-1"), ("--ttft", "soon"),
     ("--rps", "5"), ("--prompt", "long"), ("--reserve", "-1"), ("--export", "llama.cpp", "--ttft", "2s"),
     ("--solve", "all", "--grid", "kv,quant"), ("--write", "grid.svg"),
     ("--grid", "kv,quant", "--write", "g.txt"),
     ("--solve", "context", "--rps", "5"), ("--solve", "context", "--prompt", "long"),
     ("--solve", "all", "--reserve", "1XB"), ("--what-if", "magic"), ("--grid", "kv"),
     ("--price", "owned"), ("--price", "owned", "--ttft", "2s")],
)  # fmt: skip
def test_bad_values_end_in_one_sentence_and_2(arguments: tuple[str, ...]) -> None:
    """No traceback, one line, exit code 2."""
    done = run(*PLAN, *arguments)
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert done.stderr.startswith("hwledger: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.requirement("FR-SOLVE-CLI", "FR-SOLVE-FRONT")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_narrow_terminal_shows_whole_lines(columns: int) -> None:
    """No line is wider than the terminal, and nothing is cut off with an ellipsis."""
    for arguments in (("--solve", "all"), ("--what-if", "Q4_K_M,q8_0-kv"), ("--grid", "quant,context")):
        text = narrow(*PLAN, *arguments, columns=columns)
        assert max(map(len, text.splitlines())) <= columns
        assert not re.search(r"\S…", text), "an interval has spaces around its ellipsis"


@pytest.mark.requirement("FR-SOLVE-CLI")
def test_no_colour_is_written_into_a_pipe_or_where_none_is_wanted() -> None:
    """Pipes and NO_COLOR get plain text; the grid says by signs what colours say."""
    text = narrow(*PLAN, "--grid", "quant=Q4_K_M:stored,context=4k:32k")
    assert "\x1b[" not in text
    assert "%x" in text


@pytest.mark.requirement("FR-SOLVE-GRID", "FR-SOLVE-CLI")
def test_a_grid_is_written_as_csv_json_and_svg(tmp_path: Path) -> None:
    """The files say the same as the document, which follows its schema."""
    files = [tmp_path / f"grid.{kind}" for kind in ("csv", "json", "svg")]
    writes = [part for file in files for part in ("--write", str(file))]
    grid = ("--grid", "quant=Q4_K_M:Q8_0,context=4k:8k")
    printed = json.loads(run(*PLAN, *grid, *writes, "--json").stdout)
    jsonschema.validate(printed, schema("hwledger.grid/1"))
    assert json.loads(files[1].read_text("utf-8")) == printed
    assert len(files[0].read_text("utf-8").splitlines()) == 5
    assert files[2].read_text("utf-8").startswith("<svg")


@pytest.mark.requirement("FR-SOLVE-WHAT-IF", "FR-SOLVE-CLI")
def test_what_if_follows_the_schema() -> None:
    """The baseline comes first, and quality is said of every change."""
    document = json.loads(run(*PLAN, "--what-if", "Q4_K_M,q8_0-kv", "--json").stdout)
    jsonschema.validate(document, schema("hwledger.plan/1"))
    assert [one["name"] for one in document["what_if"]] == ["as it is", "Q4_K_M", "q8_0-kv", "all together"]
    assert all(one["quality"] for one in document["what_if"][1:])


@pytest.mark.requirement("FR-SOLVE-FIT", "FR-SOLVE-CLI")
def test_fit_lists_what_a_device_runs() -> None:
    """The document follows its schema; the list says how and how fast, and what is left out."""
    fit = ("fit", "Qwen3-8B", "--device", "RTX 4090", "--catalogue")
    document = json.loads(run(*fit, "--json").stdout)
    jsonschema.validate(document, schema("hwledger.fit/1"))
    assert document["models"][0]["plan"]["throughput"]["decode_tokens_per_second"]["value"] > 0
    text = narrow(*fit, "--sort", "speed")
    assert "on devices" in text
    assert "RTX 4090" in text
    assert run("fit", "--catalogue", "--local").returncode == 2
    assert run("fit", "--device", "no such card").returncode == 2


@pytest.mark.requirement("FR-SOLVE-FIT")
def test_fit_without_a_device_is_about_this_machine() -> None:
    """The machine is described, whatever it is."""
    document = json.loads(run("fit", "SmolLM2-135M", "--catalogue", "--json").stdout)
    assert document["host_bytes"] > 0
    assert document["devices"]


@pytest.mark.requirement("FR-SOLVE-COMPARE", "FR-SOLVE-CLI")
def test_compare_puts_every_combination_side_by_side() -> None:
    """Two devices and two quantisations make four columns, each the plan made alone."""
    compare = ("compare", "Qwen/Qwen3-8B", "--engine", "llama.cpp", "--device", "RTX 4090", "--device",
               "RTX 3060 12GB", "--weights", "Q4_K_M", "--weights", "stored")  # fmt: skip
    document = json.loads(run(*compare, "--json").stdout)
    jsonschema.validate(document, schema("hwledger.compare/1"))
    assert [one["name"] for one in document["compared"]] == [
        "RTX 4090, Q4_K_M", "RTX 4090", "RTX 3060 12GB, Q4_K_M", "RTX 3060 12GB",
    ]  # fmt: skip
    alone = json.loads(run(*PLAN, "--weights", "Q4_K_M", "--json").stdout)
    assert document["compared"][2]["memory"]["total_bytes"] == alone["memory"]["total_bytes"]
    assert max(map(len, narrow(*compare).splitlines())) <= 80


@pytest.mark.requirement("FR-SOLVE-COMPARE", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "arguments",
    [(), ("Qwen/Qwen3-8B",), ("Qwen/Qwen3-8B", *("--weights", "Q4_K_M") * 13), ("no/such", "nor/this")],
)
def test_what_cannot_be_compared_is_refused(arguments: tuple[str, ...]) -> None:
    """Nothing, one thing, too many things, and things that are not there."""
    done = run("compare", *arguments, "--offline")
    assert done.returncode in {2, 4, 5}
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.requirement("FR-SOLVE-FIT", "NFR-BAD-INPUT")
def test_fit_refuses_a_type_that_there_is_not() -> None:
    """A type that nobody knows is bad input, not a list of models that do not run."""
    done = run("fit", "Qwen3-8B", "--device", "RTX 4090", "--catalogue", "--weights", "zork")
    assert done.returncode == 2
    assert "zork" in done.stderr


@pytest.mark.requirement("FR-SOLVE-COMPARE")
def test_compare_takes_an_engine_that_runs_on_the_devices() -> None:
    """A Mac is not planned with an engine that does not run on it; an engine by name is kept."""
    asked = ("compare", "Qwen/Qwen3-8B", "--device", "M4 Max 64GB", "--device", "RTX 4090")
    engines = next(line for line in run(*asked).stdout.splitlines() if line.startswith("engine"))
    assert re.search(r"mlx .*vllm ", engines)
    named = run(*asked, "--engine", "llama.cpp").stdout
    assert "mlx" not in named


@pytest.mark.requirement("FR-SOLVE-LOAD", "FR-SOLVE-CLI")
def test_more_than_is_served_exits_with_3() -> None:
    """A rate that one device does not serve is a limit that is missed, in the document as well."""
    load = ("--rps", "1000000", "--prompt", "1", "--output", "1", "--json")
    done = run("plan", "Qwen/Qwen3-8B", "--engine", "vllm", "--device", "RTX 4090", "--solve", "all", *load)
    assert done.returncode == 3
    found = json.loads(done.stdout)
    jsonschema.validate(found, schema("hwledger.plan/1"))
    nearest = next(one for one in found["solutions"] if one["role"] == "nearest")
    assert not nearest["holds"]
    assert [one["limit"] for one in nearest["misses"]] == ["min_requests_per_second"]


@pytest.mark.requirement("FR-SOLVE-HOLD", "FR-SOLVE-CLI")
def test_traffic_and_limits_are_answered_without_solving() -> None:
    """The speed is that of the traffic; each limit is met or missed, and a missed one exits with 3."""
    asked = ("plan", "Qwen/Qwen3-8B", "--device", "L40S", "--concurrency", "8", "--prompt", "2000",
             "--output", "300")  # fmt: skip
    done = run(*asked, "--ttft", "5s", "--ram", "64GiB", "--reserve", "1GiB", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, schema("hwledger.plan/1"))
    traffic = found["throughput"]["traffic"]
    assert (traffic["prompt_tokens"], traffic["output_tokens"], traffic["concurrency"]) == (2000, 300, 8)
    assert {one["limit"]: one["met"] for one in found["limits"]} == {
        "ttft_seconds": True, "ram_bytes": True, "reserve_bytes": True,
    }  # fmt: skip
    missed = run(*asked, "--tpot", "1ms", columns=80)
    assert missed.returncode == 3
    assert "missed by" in missed.stdout
    assert max(map(len, missed.stdout.splitlines())) <= 80
    assert json.loads(run(*asked, "--json").stdout)["limits"] is None


@pytest.mark.requirement("FR-SOLVE-HOLD")
def test_the_context_holds_the_requests_unless_it_is_given() -> None:
    """Long prompts make the context longer; one that is given stays, and is said to be too short."""
    asked = ("plan", "Qwen/Qwen3-8B", "--device", "L40S", "--prompt", "9000", "--output", "1000", "--json")
    assert json.loads(run(*asked).stdout)["workload"]["context_tokens"] == 10_000
    short = json.loads(run(*asked, "--context", "4k").stdout)
    assert short["workload"]["context_tokens"] == 4096
    assert any("longer than the context" in line for line in short["throughput"]["warnings"])


@pytest.mark.requirement("FR-SOLVE-HOLD", "FR-SOLVE-LOAD")
def test_arrivals_are_answered_without_solving() -> None:
    """A rate that is served has a speed, one that is not says what would be; without devices: refused."""
    asked = ("plan", "Qwen/Qwen3-8B", "--device", "H100 SXM", "--prompt", "1000", "--output", "200")
    served = json.loads(run(*asked, "--rps", "2", "--json").stdout)["throughput"]
    assert served["traffic"]["requests_per_second"] == 2
    assert served["aggregate_tokens_per_second"]["value"] == pytest.approx(400)
    over = run(*asked, "--rps", "5000", "--ttft", "1s")
    assert over.returncode == 3
    assert "more than this serves" in over.stdout
    assert "not known" in over.stdout
    nowhere = run("plan", "Qwen/Qwen3-8B", "--ttft", "1s")
    assert nowhere.returncode == 2
    assert len(nowhere.stderr.splitlines()) == 1
