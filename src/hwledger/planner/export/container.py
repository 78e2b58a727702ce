"""A recipe in a container: image, words, what it mounts and how many accelerators it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from hwledger.errors import UsageError
from hwledger.model.origin import Place
from hwledger.planner.export.recipe import Recipe
from hwledger.planner.export.reference import ADAPTER
from hwledger.planner.export.spelling import rows
from hwledger.planner.export.yaml import Noted
from hwledger.planner.memory import Category
from hwledger.planner.plan import Plan
from hwledger.units import format_bytes

MODELS: Final = "/models"
ADAPTERS: Final = "/adapters"
LOADED_BYTES_PER_SECOND: Final = 100_000_000
LEAST_START_S: Final = 600
"""Start-up is waited for: ten minutes, and a first download at 100 MB/s, which is assumed."""


CACHE_VARIABLES: Final = ("HF_HOME", "LLAMA_CACHE")
"""Variables that say where an engine keeps models of the hub, whoever it runs as in the container."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of this machine as the container sees it, read only."""

    source: str
    inside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container.

    Attributes:
        image: name and tag.
        entry: the program, where the image's own is not taken.
        args: its words, each setting with the reason as a comment.
        vendor: of the accelerators; ``none`` for the processor alone.
        count: accelerators that it takes.
        resource: what Kubernetes calls them.
        cache: folder in the container where models of the hub are kept.
        mount: folder of this machine that holds the model; ``None`` for a model of the hub.
        adapter: folder of this machine that holds its adapter; ``None``: none, or one of the hub.
        probe: program in the image that can ask for an address.
        start_s: seconds within which it has to have loaded the model.
        start_why: where that figure is from.
        notes: what was assumed, in sentences.
    """

    image: str
    entry: tuple[str, ...]
    args: tuple[object, ...]
    vendor: str
    count: int
    resource: str
    cache: str
    mount: Mount | None
    adapter: Mount | None
    probe: str
    start_s: int
    start_why: str
    notes: tuple[str, ...]


def container_of(recipe: Recipe, plan: Plan) -> Container:
    """Return the container that runs a recipe.

    Raises:
        UsageError: the engine has no image for these accelerators that is known.
    """
    vendor, count, notes = _accelerators(recipe, plan)
    known = {row["vendor"]: row for row in rows("images") if row["target"] == recipe.target}
    if vendor not in known:
        has = f"for {', '.join(known)}" if known else "none"
        raise UsageError(
            f"no image of {recipe.title} for {vendor} is known (known: {has}): export the command itself with"
            f" --export {recipe.target}"
        )
    row = known[vendor]
    built = plan.request.options.get("backend")
    if built and built != row["backend"]:
        raise UsageError(
            f"the image of {recipe.title} for {vendor} is built for {row['backend'] or 'the processor'}, and"
            f" the plan is of {built}: leave backend={built} out, or export the command itself"
        )
    whole = recipe.target != "llama.cpp"
    origin = plan.spec.adapter
    adapter = "" if origin is None or origin.place is Place.HUB else origin.name
    seen = {path: _inside(root, path) for root, path in ((MODELS, recipe.local), (ADAPTERS, adapter)) if path}
    loaded = sum(size for c, size in plan.by_category.items() if c is Category.WEIGHTS)
    return Container(
        image=row["image"].format(version=recipe.version), entry=tuple(row["entry"].split()),
        args=_args(recipe, seen), vendor=vendor, count=count, resource=row["resource"], cache=row["cache"],
        mount=_mount(MODELS, recipe.local, whole=whole), adapter=_mount(ADAPTERS, adapter, whole=whole),
        probe=row["probe"],
        start_s=max(LEAST_START_S, LEAST_START_S + ceil(loaded / LOADED_BYTES_PER_SECOND)),
        start_why=f"ten minutes and {format_bytes(loaded)} of weights at 100 MB/s, which is assumed",
        notes=(*recipe.notes, *notes),
    )  # fmt: skip


def _inside(root: str, path: str) -> str:
    return f"{root}/{path.rstrip('/').rpartition('/')[2]}"


def _mount(root: str, path: str, *, whole: bool) -> Mount | None:
    """Return the mount of a folder, or of the one that a file lies in; ``None`` where there is no path."""
    if not path:
        return None
    if whole:
        return Mount(path, _inside(root, path))
    return Mount(path.rpartition("/")[0] or "/", root)


def _args(recipe: Recipe, seen: Mapping[str, str]) -> tuple[object, ...]:
    """Return the words with paths as the container sees them; it listens on all of its own addresses."""
    words: list[object] = [_seen(word, seen) for word in recipe.program[2:] if recipe.target == "vllm"]
    for setting in recipe.settings:
        said = ("--host", "0.0.0.0") if setting.option == "host" else setting.words  # noqa: S104 - of the container
        why = (
            "the container's own addresses; what is published decides"
            if setting.option == "host"
            else setting.why
        )
        first, *rest = (_seen(word, seen) for word in said)
        words += [Noted(first, why), *rest]
    return tuple(words)


def _seen(word: str, seen: Mapping[str, str]) -> str:
    """Return a word with the path that it is, or that follows ``adapter=``, as the container sees it."""
    named = f"{ADAPTER}=" if word.startswith(f"{ADAPTER}=") else ""
    path = word.removeprefix(named)
    return f"{named}{seen.get(path, path)}"


def _accelerators(recipe: Recipe, plan: Plan) -> tuple[str, int, tuple[str, ...]]:
    """Return vendor, number and what was assumed of them."""
    devices = plan.request.devices
    used = len({component.place for component in plan.memory.components if component.place >= 0})
    if recipe.target == "llama.cpp" and not devices and plan.memory.options["n_gpu_layers"] == 0:
        return "none", 0, ()
    vendors = {device.vendor for device in devices} - {"any"}
    if len(vendors) > 1:
        raise UsageError(
            f"one container cannot hold accelerators of {' and '.join(sorted(vendors))}: plan one kind"
        )
    if vendors:
        return vendors.pop(), max(1, used), ()
    return "NVIDIA", max(1, used), ("no device of a vendor was given: NVIDIA's is assumed",)


def probe_words(container: Container, port: int, path: str) -> list[str]:
    """Return the command that asks the program in the container whether it is ready."""
    address = f"http://127.0.0.1:{port}{path}"
    if container.probe == "curl":
        return ["CMD", "curl", "-fsS", address]
    return ["CMD", "python3", "-c", f"import urllib.request as r; r.urlopen('{address}', timeout=4)"]
