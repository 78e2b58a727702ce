"""Plans to export, and exported text read back by the readers of command lines."""

import shlex
from dataclasses import replace
from functools import cache

import yaml

from hwledger.device.catalogue import parse_devices
from hwledger.library.commands import read_command
from hwledger.library.deployment import Deployment
from hwledger.library.sources.catalogue import shipped_model
from hwledger.model.origin import Origin, Place
from hwledger.model.spec import ModelSpec
from hwledger.planner.plan import Plan, plan

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@cache
def hub_model(name: str) -> ModelSpec:
    """Return a model of the catalogue as if it had been read from the hub, at a commit."""
    return replace(shipped_model(name), revision=COMMIT)


@cache
def gguf_model(name: str, path: str = "/models/some model.gguf") -> ModelSpec:
    """Return a model of the catalogue as if it were a GGUF file on this machine."""
    return replace(shipped_model(name), format="gguf", origin=Origin(place=Place.FILE, name=path))


def make(spec: ModelSpec, device: str = "", **more: object) -> Plan:
    """Return a plan, without looking for what would make it fit."""
    devices = parse_devices(device) if device else ()
    return plan(spec, devices=devices, suggest=False, **more)  # type: ignore[arg-type]


def sizes(made: Plan) -> list[tuple[str, int, int]]:
    """Return name, place and bytes of every component."""
    return [(part.name, part.place, part.size_bytes) for part in made.memory.components]


def planned_again(made: Plan, told: Deployment) -> Plan:
    """Return the plan of what a command says, for the same model, devices and requests."""
    request = made.request
    return plan(
        request.spec, engine=told.engine or made.engine, engine_version=request.version,
        context=told.context or request.workload.context_tokens,
        concurrency=told.concurrency or made.memory.concurrency, weights=told.weights, kv_cache=told.kv_cache,
        devices=request.devices, options=[f"{key}={value}" for key, value in told.options.items()],
        suggest=False,
    )  # fmt: skip


def command_of(text: str) -> list[str]:
    """Return the words of the command that an exported script ends with."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return shlex.split("\n".join(lines).replace("\\\n", " ").splitlines()[-1])


def container_words(text: str) -> list[str]:
    """Return the words that the container of a Compose file or of a Deployment runs."""
    found = next(doc for doc in yaml.safe_load_all(text) if "services" in doc or doc["kind"] == "Deployment")
    if "services" in found:
        service = found["services"]["model"]
        return [
            word.replace("$$", "$")
            for word in [*service.get("entrypoint", ["llama-server"]), *service["command"]]
        ]
    inner = found["spec"]["template"]["spec"]["containers"][0]
    return [*inner.get("command", ["llama-server"]), *inner["args"]]


def read_words(words: list[str]) -> Deployment:
    """Return what a command runs."""
    return read_command(shlex.join(words))


def read_modelfile(text: str) -> Deployment:
    """Return what a Modelfile and the variables in its comments run, by llama.cpp's rules."""
    lines = [line.split(" ", 2) for line in text.splitlines() if line.startswith("PARAMETER ")]
    given = {name: value for _, name, value in lines}
    start = next(line for line in text.splitlines() if line.startswith("# Start the server"))
    env = dict(word.split("=", 1) for word in start.split() if word.startswith("OLLAMA_"))
    slots = int(env["OLLAMA_NUM_PARALLEL"])
    options = {
        "n_ctx": str(int(given["num_ctx"]) * slots), "n_parallel": str(slots),
        "n_gpu_layers": given["num_gpu"], "n_batch": given["num_batch"], "n_ubatch": given["num_batch"],
        "flash_attn": {"1": "on", "0": "off"}[env["OLLAMA_FLASH_ATTENTION"]],
        "cache_type_k": env["OLLAMA_KV_CACHE_TYPE"], "cache_type_v": env["OLLAMA_KV_CACHE_TYPE"],
    }  # fmt: skip
    model = next(line for line in text.splitlines() if line.startswith("FROM "))[5:]
    return Deployment(model=model, program="ollama", engine="llama.cpp", options=options)
