"""Ollama's store laid out on disk, and its answers as they were recorded."""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from support import tiny

Layers = Sequence[tuple[str, bytes]]


def put_blob(store: Path, content: bytes) -> str:
    """Store a blob; return its digest."""
    digest = sha256(content).hexdigest()
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    (store / "blobs" / f"sha256-{digest}").write_bytes(content)
    return f"sha256:{digest}"


def put_manifest(store: Path, path: str, manifest: object) -> Path:
    """Store a manifest under ``host/namespace/model/tag``."""
    file = store / "manifests" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return file


def put_model(store: Path, path: str, layers: Layers, facts: Mapping[str, object] | None = None) -> Path:
    """Store a model as ``ollama pull`` does; layers are (kind, content). Return its manifest."""
    rows = [
        {
            "mediaType": f"application/vnd.ollama.image.{kind}",
            "digest": put_blob(store, raw),
            "size": len(raw),
        }
        for kind, raw in layers
    ]
    config = json.dumps({"model_format": "gguf", **(facts or {})}).encode()
    media = "application/vnd.docker.container.image.v1+json"
    head = {"mediaType": media, "digest": put_blob(store, config), "size": len(config)}
    return put_manifest(store, path, {"schemaVersion": 2, "config": head, "layers": rows})


def from_json5(text: str) -> Any:
    """Return the value of the recorded JSON5: single quotes, bare keys, comments and trailing commas."""
    text = re.sub(r"//[^\n]*populates[^\n]*", "", text)
    text = re.sub(
        r"'((?:[^'\\]|\\.)*)'",
        lambda m: '"' + re.sub(r'(?<!\\)"', r"\"", m[1]) + '"',
        text,
    )
    text = re.sub(r"^(\s*)(\w+):", r'\1"\2":', text, flags=re.MULTILINE)
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", text))


def shown_of(metadata: Mapping[str, object]) -> dict[str, Any]:
    """Return what a newer server says of the tiny model."""
    tensors = [
        {"name": name, "type": {0: "F32", 1: "F16"}.get(number, "Q8_0"), "shape": list(shape)}
        for name, shape, number in tiny.gguf_tensors()
    ]
    return {"details": {"format": "gguf"}, "model_info": dict(metadata), "tensors": tensors}
