"""LM Studio's folders laid out on disk."""

import json
from collections.abc import Mapping
from pathlib import Path


def put_home(home: Path, settings: Mapping[str, object] | None = None) -> Path:
    """Make LM Studio's home in a user's home; return its models folder."""
    folder = home / ".lmstudio"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    if settings is not None:
        (folder / "settings.json").write_text(json.dumps(settings), "utf-8")
    return folder / "models"


def newer_row(key: str, **stated: object) -> dict[str, object]:
    """Return what ``/api/v1/models`` says of one model; ``config`` is that of a loaded instance."""
    config = stated.pop("config", None)
    packed = stated.pop("quantisation", "F16")
    row = {
        "type": "llm", "publisher": "maker", "key": key, "format": "gguf",
        "quantization": {"name": packed}, "max_context_length": 2048,
        "loaded_instances": [{"id": key, "config": config}] if config else [],
    }  # fmt: skip
    return row | stated
