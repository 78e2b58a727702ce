"""The JSON contracts hold for every kind of model, engine and device."""

import json

import jsonschema
import pytest
from click.testing import CliRunner

import hwledger
from hwledger.cli import hwledger as command
from hwledger.planner.document import plan_document, schema, show_document
from hwledger.planner.memory import Category

MODELS = (
    "meta-llama/Meta-Llama-3.1-8B",
    "deepseek-ai/DeepSeek-V3",
    "Qwen/Qwen3-30B-A3B",
    "google/gemma-3-12b-it",
    "openai/gpt-oss-120b",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "openai/whisper-tiny",
)
ENGINES = ("vllm", "llama.cpp", "mlx", "transformers")


@pytest.mark.requirement("FR-PLAN-JSON")
@pytest.mark.parametrize("device", [None, "RTX 4090", "RTX 3090, RTX 4090"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", MODELS)
def test_every_plan_follows_its_schema_and_adds_up(model: str, engine: str, device: str | None) -> None:
    """Plans of all engines validate; components, categories, devices and totals agree."""
    plan = hwledger.plan(model, engine=engine, device=device, concurrency=2)
    document = json.loads(json.dumps(plan_document(plan)))
    jsonschema.validate(document, schema("hwledger.plan/1"))
    memory = document["memory"]
    assert sum(memory[f"{category.value}_bytes"] for category in Category) == memory["total_bytes"]
    assert sum(part["bytes"] for part in memory["components"]) == memory["total_bytes"]
    assert sum(d["total_bytes"] for d in document["devices"]) + memory["host_bytes"] == memory["total_bytes"]
    low, high = memory["total_interval_bytes"]
    assert low <= memory["total_bytes"] <= high


@pytest.mark.requirement("FR-PLAN-JSON")
@pytest.mark.parametrize("model", MODELS)
def test_every_model_follows_its_schema(model: str) -> None:
    """``show`` validates, and its layers and kinds agree."""
    document = json.loads(json.dumps(show_document(hwledger.open_model(model)), default=str))
    jsonschema.validate(document, schema("hwledger.show/1"))
    assert sum(document["model"]["layer_kinds"].values()) == len(document["layers"])


@pytest.mark.requirement("FR-PLAN-JSON", "FR-PLAN-CLI")
def test_the_command_line_prints_the_same_document() -> None:
    """``plan --json`` prints one JSON object that validates."""
    result = CliRunner().invoke(command, ["plan", MODELS[0], "--engine", "vllm", "--json"])
    assert result.exit_code == 0, result.output
    jsonschema.validate(json.loads(result.stdout), schema("hwledger.plan/1"))
