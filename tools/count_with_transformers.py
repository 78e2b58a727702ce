"""Count parameters with transformers itself: ``python tools/count_with_transformers.py``.

Builds each text decoder that the config reader knows without memory (the meta device), once with its class
defaults and once per variant that turns a knob, and writes what ``named_parameters`` counts. The
suite holds the config reader against the table. Needs an environment with transformers and torch.
"""

import csv
import json
import re
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, logging

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "tests/data/transformers_counts.csv"
DATA = ROOT / "src/hwledger/library/config/data"
OTHERS = re.compile("encoder|multimodal|mllama")  # not built as text decoders
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
KNOBS = ("attention_bias", "mlp_bias", "use_qk_norm", "qk_layernorm", "use_bias", "bias", "qkv_bias",
         "parallel_attn", "new_decoder_architecture", "multi_query", "use_sliding_window",
         "use_parallel_residual", "enable_bias", "use_post_norm", "lm_head_bias")  # fmt: skip


def variants(model_type: str) -> Iterator[dict[str, object]]:
    """Yield the configs of one type: as the class defaults it, then six layers with one knob turned."""
    config = CONFIG_MAPPING[model_type]()
    key = next((k for k in LAYERS if k in vars(config)), None)
    if key is None:  # a wrapper; its text config has a type of its own
        return
    yield {}
    small = {key: 6, **({"head_dim": 64} if getattr(config, "head_dim", 0) is None else {})}
    yield small
    yield {**small, "tie_word_embeddings": not config.tie_word_embeddings}
    if "num_key_value_heads" in vars(config):
        yield {**small, "num_key_value_heads": 2}
    for knob in KNOBS:
        if isinstance(vars(config).get(knob), bool):
            yield {**small, knob: not vars(config)[knob]}


def count(model_type: str, stated: dict[str, object]) -> tuple[int, list[str] | None]:
    """Return the parameters that transformers builds, shared ones once, and the kinds of the layers."""
    config = CONFIG_MAPPING[model_type].from_dict(dict(stated))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return sum(each.numel() for each in model.parameters()), getattr(config, "layer_types", None)


def rows() -> Iterator[list[object]]:
    """Yield one row per type and variant that transformers can build."""
    types: set[str] = set()
    for table in ("traits.csv", "families.csv"):
        with (DATA / table).open(encoding="utf-8") as file:
            listed = list(csv.DictReader(file))
        types |= {row["model_type"] for row in listed if not OTHERS.match(row.get("reader", ""))}
    source = f"transformers {version('transformers')}"
    for model_type in sorted(types & set(CONFIG_MAPPING)):
        try:
            stated = list(variants(model_type))
        except Exception as error:  # noqa: BLE001 - a config without usable defaults
            print(f"{model_type}: no config ({error})")
            continue
        for keys in stated:
            try:
                total, kinds = count(model_type, keys)
            except Exception as error:  # noqa: BLE001 - a variant that transformers cannot build
                print(f"{model_type} {keys}: not built ({str(error).splitlines()[0]})")
                continue
            plain = set(kinds or ()) <= {"sliding_attention", "full_attention"}
            sliding = (
                "".join("s" if kind == "sliding_attention" else "f" for kind in kinds or ()) if plain else ""
            )
            yield [model_type, json.dumps(keys) if keys else "default", total, sliding, source]


def main() -> None:
    """Write the table."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model_type", "keys", "total", "kinds", "source"])
        writer.writerows(rows())


if __name__ == "__main__":
    main()
