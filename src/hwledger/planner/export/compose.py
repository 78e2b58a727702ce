"""A recipe as a file for ``docker compose``."""

from collections.abc import Mapping

from hwledger.planner.export import figures
from hwledger.planner.export.container import CACHE_VARIABLES, Container, Mount, container_of, probe_words
from hwledger.planner.export.recipe import Exported, Recipe
from hwledger.planner.export.script import comments, title
from hwledger.planner.export.yaml import Noted, dump
from hwledger.planner.plan import Plan


def write(recipe: Recipe, plan: Plan) -> Exported:
    """Return the file; ``docker compose up`` takes it as it is.

    Raises:
        UsageError: there is no image for these accelerators.
    """
    container = container_of(recipe, plan)
    head = comments(
        title(recipe, plan), figures.need(plan), figures.room(plan),
        "Gated models: HF_TOKEN is taken from your environment; it is not written here.",
        *(f"Note: {note}" for note in container.notes),
    )  # fmt: skip
    services = {"services": {"model": _service(recipe, container)}}
    return Exported("\n".join(head) + "\n" + dump(_escaped_mapping(services)), container.notes)


def _service(recipe: Recipe, container: Container) -> dict[str, object]:
    hub = f"${{HF_HOME:-${{HOME}}/.cache/huggingface}}:{container.cache}"
    service: dict[str, object] = {"image": container.image}
    if container.entry:
        service["entrypoint"] = list(container.entry)
    service["command"] = list(container.args)
    service["ports"] = [Noted(f"127.0.0.1:{recipe.port}:{recipe.port}", "published on this machine alone")]
    service["environment"] = ["HF_TOKEN", *(f"{name}={container.cache}" for name in CACHE_VARIABLES)]
    mounts = [_mounted(mount) for mount in (container.mount, container.adapter) if mount]
    service["volumes"] = mounts if container.mount else [_Raw(hub), *mounts]
    if recipe.target != "llama.cpp":
        service["ipc"] = Noted("host", "ranks share memory: the 64 MiB of /dev/shm are too few")
    return {
        **service,
        **_accelerators(container),
        "healthcheck": {
            "test": probe_words(container, recipe.port, recipe.health),
            "interval": "10s", "timeout": "5s", "retries": 3,
            "start_period": Noted(f"{container.start_s}s", container.start_why),
        },
        "restart": "unless-stopped",
    }  # fmt: skip


def _mounted(mount: Mount) -> dict[str, object]:
    """Return the mount of a folder of this machine, in the form that takes any letter in a path."""
    return {"type": "bind", "source": mount.source, "target": mount.inside, "read_only": True}


class _Raw(str):
    """A text in which Compose is to put variables."""

    __slots__ = ()


def _accelerators(container: Container) -> dict[str, object]:
    if container.vendor == "AMD":
        return {
            "devices": ["/dev/kfd", "/dev/dri"],
            "group_add": ["video", "render"],
            "security_opt": ["seccomp=unconfined"],
        }
    if container.vendor != "NVIDIA":
        return {}
    reserved = {"driver": "nvidia", "count": container.count, "capabilities": ["gpu"]}
    return {"deploy": {"resources": {"reservations": {"devices": [reserved]}}}}


def _escaped_mapping(node: Mapping[str, object]) -> dict[str, object]:
    return {key: _escaped(value) for key, value in node.items()}


def _escaped(node: object) -> object:
    """Return ``node`` with every dollar doubled that Compose would take for a variable."""
    if isinstance(node, _Raw):
        return str(node)
    if isinstance(node, str):
        return node.replace("$", "$$")
    if isinstance(node, Noted):
        return Noted(_escaped(node.node), node.why)
    if isinstance(node, Mapping):
        return _escaped_mapping(node)
    return [_escaped(value) for value in node] if isinstance(node, list | tuple) else node
