"""Tabulate the class defaults of transformers' configs: ``python tools/tabulate_transformers_defaults.py``.

A config.json may leave out every key whose value is the class default (``tie_word_embeddings`` of
Gemma, ``q_lora_rank`` of DeepSeek-V2), so a reader must know these defaults. Needs an environment
with transformers; writes one line per ``model_type``: the type, a tab, and a JSON object with the
defaults that shape a model, the key aliases and the nested configs.
"""

import dataclasses
import inspect
import json
import re
from importlib.metadata import version
from pathlib import Path

from transformers import CONFIG_MAPPING

TARGET = Path(__file__).parent.parent / "src/hwledger/library/config/data/transformers_defaults.tsv"
NOISE = re.compile(
    r"token_id|dropout|initializer|_eps$|epsilon|output_|id2label|label2id|return_dict|problem_type|"
    r"transformers_version|use_cache|pretraining_tp|chunk_size_feed|rope_theta|_coef|scale|scaling|"
    r"loss|init_std|_prob|^dtype$|pdrop|layerdrop|finetuning|mask_|summary_"
)


def class_defaults(cls: type) -> dict[str, object]:
    """Return the default of every field of a config class."""
    if dataclasses.is_dataclass(cls):
        return {
            f.name: f.default if f.default is not dataclasses.MISSING else f.default_factory()
            for f in dataclasses.fields(cls)
            if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        }
    parameters = inspect.signature(cls.__init__).parameters
    return {k: p.default for k, p in parameters.items() if p.default is not inspect.Parameter.empty}


def row(cls: type) -> dict[str, object]:
    """Return the table row of one config class."""
    defaults = {
        key: value
        for key, value in class_defaults(cls).items()
        if isinstance(value, (int, float, str, bool, list)) and not NOISE.search(key)
    }
    subs = {k: getattr(v, "model_type", "") for k, v in (getattr(cls, "sub_configs", {}) or {}).items()}
    return {"defaults": defaults, "aliases": dict(getattr(cls, "attribute_map", {}) or {}), "nested": subs}


def main() -> None:
    """Write the table."""
    lines = [f"# class defaults of transformers {version('transformers')} configuration classes"]
    for model_type in sorted(CONFIG_MAPPING.keys()):
        text = json.dumps(row(CONFIG_MAPPING[model_type]), sort_keys=True, separators=(",", ":"))
        lines.append(f"{model_type}\t{text}")
    TARGET.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
