"""Containers: files that Docker Compose and Kubernetes take, with no secret in them."""

from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hwledger.errors import UsageError
from hwledger.model.origin import Origin, Place
from hwledger.planner.export import export, exported
from hwledger.planner.export.kubernetes import name_of
from hwledger.planner.plan import Plan
from support.exports import container_words, gguf_model, hub_model, make

pytestmark = pytest.mark.requirement("FR-EXPORT-CONTAINERS")
LLAMA = "meta-llama/Meta-Llama-3.1-8B"
KUBERNETES = "1.31"
PLANS = {
    "vllm": lambda: make(hub_model("Qwen/Qwen3-32B"), "2x H100 SXM", engine="vllm"),
    "rocm": lambda: make(hub_model("Qwen/Qwen3-32B"), "MI300X", engine="vllm"),
    "llama.cpp": lambda: make(gguf_model(LLAMA), "RTX 4090"),
    "processor": lambda: make(gguf_model(LLAMA), options={"n_gpu_layers": 0}),
    "offload": lambda: make(gguf_model("Qwen/Qwen3-30B-A3B"), "RTX 4090", options={"cpu_moe": "on"}),
    "folder": lambda: make(
        replace(hub_model(LLAMA), origin=Origin(place=Place.FOLDER, name="/m/a $b")),
        "H100 SXM",
        engine="vllm",
    ),
    "adapter": lambda: make(
        replace(hub_model(LLAMA), adapter=Origin(place=Place.FOLDER, name="/m/a $b")),
        "H100 SXM",
        engine="vllm",
    ),
    "folder and adapter": lambda: make(
        replace(
            hub_model(LLAMA),
            origin=Origin(place=Place.FOLDER, name="/m/same"),
            adapter=Origin(place=Place.FOLDER, name="/a/same"),
        ),
        "H100 SXM",
        engine="vllm",
    ),
}


@pytest.fixture(params=PLANS)
def made(request: pytest.FixtureRequest) -> Plan:
    """Return plans that containers differ for."""
    return PLANS[request.param]()


def test_kubernetes_objects_validate(made: Plan) -> None:
    """Every object validates against the published schemas of Kubernetes, unknown fields refused."""
    objects = list(yaml.safe_load_all(export(made, "k8s")))
    for each in objects:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    kinds = [each["kind"] for each in objects]
    assert kinds[-2:] == ["Deployment", "Service"]


def test_the_parts_of_kubernetes_belong_together(made: Plan) -> None:
    """Selectors match labels, claims and volumes match mounts, ports match, probes wait long enough."""
    objects = {each["kind"]: each for each in yaml.safe_load_all(export(made, "k8s"))}
    deployment, service = objects["Deployment"]["spec"], objects["Service"]["spec"]
    pod = deployment["template"]
    assert deployment["selector"]["matchLabels"] == pod["metadata"]["labels"] == service["selector"]
    container = pod["spec"]["containers"][0]
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    claims = [
        v["persistentVolumeClaim"]["claimName"]
        for v in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in v
    ]
    assert (
        claims == [objects["PersistentVolumeClaim"]["metadata"]["name"]]
        if claims
        else "PersistentVolumeClaim" not in objects
    )
    port = container["ports"][0]["containerPort"]
    assert service["ports"][0]["port"] == port
    assert container["args"][-1] == str(port)
    probe = container["startupProbe"]
    loaded = sum(c.size_bytes for c in made.memory.components if c.name == "weights")
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600 + loaded / 1e8
    assert pod["spec"]["enableServiceLinks"] is False


def test_accelerators_are_as_many_as_planned() -> None:
    """The plan's devices are what the containers ask for, by the vendor's own name."""
    limits = {name: resources(PLANS[name]()) for name in PLANS}
    assert limits["vllm"] == {"limits": {"nvidia.com/gpu": 2}}
    assert limits["rocm"] == {"limits": {"amd.com/gpu": 1}}
    assert "limits" not in limits["processor"]
    assert limits["offload"]["limits"] == {"nvidia.com/gpu": 1}
    assert limits["offload"]["requests"]["memory"].endswith("Gi")
    compose = yaml.safe_load(export(PLANS["vllm"](), "compose"))["services"]["model"]
    assert compose["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}
    ]
    rocm = yaml.safe_load(export(PLANS["rocm"](), "compose"))["services"]["model"]
    assert rocm["devices"] == ["/dev/kfd", "/dev/dri"]
    assert "deploy" not in yaml.safe_load(export(PLANS["processor"](), "compose"))["services"]["model"]


def resources(made: Plan) -> dict[str, Any]:
    """Return what the container of a plan asks Kubernetes for."""
    deployment = next(
        each for each in yaml.safe_load_all(export(made, "k8s")) if each["kind"] == "Deployment"
    )
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
    return found


def test_compose_files_have_known_keys_and_publish_nothing_to_the_network(made: Plan) -> None:
    """One service; ports on the loopback address alone; a health check; the token by name alone."""
    service = yaml.safe_load(export(made, "compose"))["services"]["model"]
    known = {"image", "entrypoint", "command", "ports", "environment", "volumes", "ipc", "deploy",
    "healthcheck",
             "restart", "devices", "group_add", "security_opt"}  # fmt: skip
    assert set(service) <= known
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["environment"] == ["HF_TOKEN", "HF_HOME=/cache", "LLAMA_CACHE=/cache"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert int(service["healthcheck"]["start_period"].removesuffix("s")) >= 600


def test_images_are_of_the_planned_version() -> None:
    """The tag is the version that the plan's rules are of."""
    pinned = make(hub_model(LLAMA), "H100 SXM", engine="vllm", engine_version="0.19.1")
    assert "vllm/vllm-openai:v0.19.1" in export(pinned, "compose")
    assert "llama.cpp:server-cuda-b11549" in export(PLANS["llama.cpp"](), "k8s")
    assert "llama.cpp:server-b11549" in export(PLANS["processor"](), "k8s")
    assert "lmsysorg/sglang:v0.5.23" in export(PLANS["vllm"](), "compose:sglang")


def test_folders_of_this_machine_are_mounted_to_be_read() -> None:
    """A path is mounted read-only, the program is told the path inside, and a dollar stays a dollar."""
    made = PLANS["folder"]()
    text = export(made, "compose")
    service = yaml.safe_load(text)["services"]["model"]
    bound = {"type": "bind", "source": "/m/a $$b", "target": "/models/a $$b", "read_only": True}
    assert service["volumes"] == [bound]
    assert container_words(text)[2] == "/models/a $b"
    pod = next(iter(yaml.safe_load_all(export(made, "k8s"))))["spec"]["template"]["spec"]
    assert pod["volumes"][0]["hostPath"]["path"] == "/m/a $b"
    assert pod["containers"][0]["volumeMounts"][0] == {
        "name": "models",
        "mountPath": "/models/a $b",
        "readOnly": True,
    }
    assert pod["containers"][0]["args"][0] == "/models/a $b"


def test_no_secret_is_written(monkeypatch: pytest.MonkeyPatch, made: Plan) -> None:
    """A token in the environment is never looked at."""
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    for target in ("compose", "k8s"):
        assert "verysecret" not in export(made, target)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("org/Qwen3 32B!", "qwen3-32b"),
        ("405B", "model-405b"),
        ("--", "model"),
        ("x" * 90, "x" * 50),
        ("ünï_x", "n-x"),
    ],
)
def test_names_that_kubernetes_takes(name: str, said: str) -> None:
    """Lower-case letters, digits and dashes, a letter first, not too long."""
    assert name_of(make(replace(hub_model(LLAMA), id=name), engine="vllm")) == said


def test_accelerators_without_an_image_are_refused() -> None:
    """Kinds that cannot be in one container, and engines without an image for a vendor."""
    with pytest.raises(UsageError, match="--export sglang"):
        export(make(hub_model(LLAMA), "MI300X", engine="vllm"), "compose:sglang")
    with pytest.raises(UsageError, match="plan one kind"):
        export(make(gguf_model(LLAMA), "RTX 4090, MI300X"), "compose")
    with pytest.raises(UsageError, match="built for CUDA"):
        export(make(gguf_model(LLAMA), "RTX 4090", options={"backend": "Vulkan"}), "k8s")
    assumed = exported(make(hub_model(LLAMA), engine="vllm"), "compose")
    assert any("NVIDIA" in note for note in assumed.notes)


@pytest.mark.parametrize("name", ["adapter", "folder and adapter"])
def test_an_adapter_of_this_machine_is_mounted(name: str) -> None:
    """The container sees it under the path that its words name, beside its base, read only."""
    made = PLANS[name]()
    assert made.spec.adapter
    source = made.spec.adapter.name
    inside = f"/adapters/{source.rpartition('/')[2]}"
    for target in ("compose", "k8s"):
        words = container_words(export(made, target))
        assert words[words.index("--lora-modules") + 1] == f"adapter={inside}"
    volumes = yaml.safe_load(export(made, "compose"))["services"]["model"]["volumes"]
    bind = {"type": "bind", "source": source.replace("$", "$$"), "target": inside.replace("$", "$$")}
    assert volumes[-1] == {**bind, "read_only": True}
    assert len(volumes) == 2
    deployment = next(d for d in yaml.safe_load_all(export(made, "k8s")) if d["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    paths = {volume["name"]: volume.get("hostPath", {}).get("path") for volume in pod["volumes"]}
    assert paths[mounts[inside]] == source
