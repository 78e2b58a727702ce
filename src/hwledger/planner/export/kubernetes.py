"""A recipe as Kubernetes objects: a Deployment, its Service, and a claim for what is downloaded."""

from math import ceil
from typing import Final

from hwledger.planner.export import figures
from hwledger.planner.export.container import CACHE_VARIABLES, Container, Mount, container_of
from hwledger.planner.export.recipe import Exported, Recipe
from hwledger.planner.export.script import comments, title
from hwledger.planner.export.yaml import Noted, dump
from hwledger.planner.plan import Plan
from hwledger.planner.weights import weigh
from hwledger.units import GIB, format_bytes

PERIOD_S: Final = 10
LONGEST_NAME: Final = 50
SECRET: Final = "hf-token"  # noqa: S105 - the name of one, not one


def write(recipe: Recipe, plan: Plan) -> Exported:
    """Return the objects; ``kubectl apply -f`` takes them as they are.

    Raises:
        UsageError: there is no image for these accelerators.
    """
    container = container_of(recipe, plan)
    name = name_of(plan)
    local = ("what is read from a folder of the node has to be there on every node",)
    notes = (*container.notes, *(local if container.mount or container.adapter else ()))
    head = comments(
        title(recipe, plan), figures.need(plan), figures.room(plan),
        f"Gated models: kubectl create secret generic {SECRET} --from-literal=token=YOUR_TOKEN",
        *(f"Note: {note}" for note in notes),
    )  # fmt: skip
    objects = [_deployment(name, recipe, container, plan), _service(name, recipe)]
    if not container.mount:
        objects.insert(0, _claim(name, plan))
    return Exported("\n".join(head) + "\n" + "---\n".join(dump(each) for each in objects), notes)


def name_of(plan: Plan) -> str:
    """Return a name that Kubernetes takes: lower-case letters, digits and dashes, a letter first."""
    base = plan.spec.id.rpartition("/")[2].lower()
    kept = "".join(char if char.isascii() and char.isalnum() else "-" for char in base)
    words = "-".join(part for part in kept.split("-") if part)[:LONGEST_NAME].strip("-")
    return words if words[:1].isalpha() else f"model-{words}".rstrip("-")


def _metadata(name: str) -> dict[str, object]:
    return {
        "name": name,
        "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "hwledger"},
    }


def _claim(name: str, plan: Plan) -> dict[str, object]:
    stored = weigh(plan.spec).total
    size = max(10, ceil(1.2 * stored / GIB))
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(f"{name}-models"),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {
                "requests": {
                    "storage": Noted(
                        f"{size}Gi", f"weights of {format_bytes(stored)} as stored, a fifth more"
                    )
                }
            },
        },
    }


def _service(name: str, recipe: Recipe) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name),
        "spec": {
            "selector": {"app.kubernetes.io/name": name},
            "ports": [{"name": "http", "port": recipe.port, "targetPort": "http"}],
        },
    }


def _deployment(name: str, recipe: Recipe, container: Container, plan: Plan) -> dict[str, object]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "strategy": Noted(
                {"type": "Recreate"}, "two generations at once would need the accelerators twice"
            ),
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": name}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": Noted(False, "its variables are taken for settings of the engine"),
                    "containers": [_container(recipe, container, plan)],
                    "volumes": _volumes(name, container),
                },
            },
        },
    }


def _container(recipe: Recipe, container: Container, plan: Plan) -> dict[str, object]:
    probe = {"httpGet": {"path": recipe.health, "port": "http"}, "periodSeconds": PERIOD_S}
    found: dict[str, object] = {"name": "model", "image": container.image}
    if container.entry:
        found["command"] = list(container.entry)
    return {
        **found,
        "args": list(container.args),
        "env": [_token(), *({"name": name, "value": container.cache} for name in CACHE_VARIABLES)],
        "ports": [{"name": "http", "containerPort": recipe.port}],
        "resources": _resources(container, plan),
        "startupProbe": Noted(
            {**probe, "failureThreshold": ceil(container.start_s / PERIOD_S)}, container.start_why
        ),
        "readinessProbe": probe,
        "livenessProbe": {**probe, "timeoutSeconds": 10, "failureThreshold": 6},
        "volumeMounts": _mounts(container),
    }


def _token() -> dict[str, object]:
    key = {"name": SECRET, "key": "token", "optional": True}
    return {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": key}}


def _resources(container: Container, plan: Plan) -> dict[str, object]:
    """Return accelerators, and host memory where the plan puts weights there."""
    found: dict[str, object] = {}
    if container.count:
        found["limits"] = {container.resource: container.count}
    if plan.host_bytes >= GIB:
        size = Noted(
            f"{ceil(plan.host_bytes / GIB)}Gi",
            f"the plan keeps {format_bytes(plan.host_bytes)} in host memory",
        )
        found["requests"] = {"memory": size}
    return found


def _mounts(container: Container) -> list[dict[str, object]]:
    models: dict[str, object] = {"name": "models", "mountPath": container.cache}
    if container.mount:
        models = _mount("models", container.mount)
    adapter = [_mount("adapter", container.adapter)] if container.adapter else []
    return [models, *adapter, {"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - of the container


def _mount(name: str, mount: Mount) -> dict[str, object]:
    return {"name": name, "mountPath": mount.inside, "readOnly": True}


def _volumes(name: str, container: Container) -> list[object]:
    """Return the model's volume, and shared memory for the ranks."""
    models: dict[str, object] = {"name": "models"}
    if container.mount:
        models["hostPath"] = {"path": container.mount.source, "type": "Directory"}
    else:
        models["persistentVolumeClaim"] = {"claimName": f"{name}-models"}
    adapter = (
        [{"name": "adapter", "hostPath": {"path": container.adapter.source, "type": "Directory"}}]
        if container.adapter
        else []
    )
    shared = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}
    return [models, *adapter, Noted(shared, "ranks share memory: the 64 MiB of /dev/shm are too few")]
