"""Tabulate ``src/hwledger/library/data/catalogue.jsonl`` from a folder of config.json files.

Usage: ``python tools/tabulate_catalogue.py FOLDER [FURTHER.json]``. The folder holds config files and
``index.csv`` (file, model_id, source). Only keys that shape the model are kept, sorted; whatever
training, generation and tokenisation need is left out. Configs whose quantisation lists
every module by name are left out: the unquantised model can be planned in that type.
"""

import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/hwledger/library/data/catalogue.jsonl"
FURTHER = Path(__file__).parent / "catalogue_further.json"
MOST_QUANTISATION = 1500

DROPPED = re.compile(
    r"""_token_ids?$|_token_index$|drop|pdrop|_eps$|epsilon$|^init_|_init_|initializer|^auto_map$|version$
    |^_name_or_path$|^_from_model|label|^task_specific|_coef$|^rope_theta$|theta$|loss|jitter|temperature
    |^top_[kp]$|penalty|^num_beam|^do_sample$|length_penalty|^min_length$|^max_length$|^no_repeat|suppress
    |forced_|^prefix$|^return_|^output_(scores|attentions|hidden)|pruned|early_stopping|typical_p|torchscript
    |tokenizer|^use_cache$|_act$|activation|^problem_type|^finetuning|bad_words|tf_legacy|chunk_size_feed
    |diversity|exponential_decay|remove_invalid|softcapping|softmax|scaling_factor|^query_pre|^scale_|_scale$
    |gradient|attn_implementation|fused|flash|checkpoint|^summary_|resid|^time_step_(min|max|floor|limit|scale|init)
    |transformers.js|embedding_multiplier|logits_scaling|^is_llama|^special|ignore_index|_id$
    |^add_cross_attention$|^classif|^projector_ln|directionality|^runner_|processor|^std$|^norm_topk
    |scoring_func|topk_method|^ep_size$|^seq_aux$|^aux_|pretraining_tp|^hc_(eps|sinkhorn)|swiglu_(alpha|limit)
    |producer|^image_mean|^use_mamba_kernels|long_factor|short_factor|^beta_(fast|slow)|mscale|^(high|low)_freq
    |mrope_section|scale_fmt|activation_scheme""",
    re.VERBOSE,
)
KEPT = frozenset(
    {"initial_context_length", "rope_parameters", "mlp_activation", "rope_scaling", "hidden_act"}
)
SUFFIXES = re.compile(
    r"-(instruct|chat|it|hf|base|thinking|2512|2507|2410|v0\.1|v1\.0|world)$", re.IGNORECASE
)


def main() -> None:
    """Write the catalogue and print what was left out."""
    folder = Path(sys.argv[1])
    rows = []
    for fact in csv.DictReader((folder / "index.csv").open(encoding="utf-8")):
        config = json.loads((folder / fact["file"]).read_text("utf-8"))
        kept = shape(config)
        if len(json.dumps(kept.get("quantization_config", {}))) > MOST_QUANTISATION:
            print("left out (quantisation names every module):", fact["model_id"])
            continue
        rows.append(row(fact["model_id"], kept, fact["source"]))
    if FURTHER.exists():
        known = {entry["id"].lower() for entry in rows}
        further = json.loads(FURTHER.read_text("utf-8"))
        rows += [row(e["id"], e["config"], e["source"]) for e in further if e["id"].lower() not in known]
    name_aliases(rows)
    rows.sort(key=lambda entry: entry["id"].lower())
    lines = [json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in rows]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("\n".join(lines) + "\n", "utf-8")
    print(len(rows), "models", TARGET.stat().st_size, "bytes", Counter(t for e in rows for t in e["tags"]))


def shape(config: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a config that shape the model, sorted, nested objects included."""
    kept = {}
    for key, value in sorted(config.items()):
        if DROPPED.search(key) and key not in KEPT:
            continue
        kept[key] = value
        if isinstance(value, dict) and key != "quantization_config":  # which decides by every key
            kept[key] = shape(value)
        elif key == "block_configs":
            kept[key] = [without_nothing(block) for block in value]
    return kept


def without_nothing(value: Any) -> Any:
    """Return a nested object without what is null or false."""
    if isinstance(value, dict):
        return {
            key: without_nothing(v) for key, v in sorted(value.items()) if v is not None and v is not False
        }
    return value


def row(name: str, config: dict[str, Any], source: str) -> dict[str, Any]:
    """Return one line of the catalogue."""
    return {"id": name, "aliases": [], "tags": tags(config), "source": clean(source), "config": config}


def clean(source: str) -> str:
    """Return a source without the notes of whoever copied it."""
    return re.sub(r"\s*\((?:removed|added|values)[^)]*\)", "", source).strip()


def tags(config: dict[str, Any]) -> list[str]:
    """Return what kind of model a config describes, for searching."""
    text = next((config[k] for k in ("text_config", "llm_config", "thinker_config") if k in config), {})
    text = text.get("text_config", text)
    merged = {**config, **text}
    kinds = json.dumps(
        [merged.get(k) for k in ("layer_types", "layers_block_type", "hybrid_override_pattern")]
    )
    model_type = str(config.get("model_type"))
    experts = [merged.get(k) or 0 for k in ("num_experts", "num_local_experts", "n_routed_experts")]
    state = re.search(r"mamba|rwkv|lfm2", model_type) or "linear_attn_config" in merged or any(
        merged.get(key) for key in ("linear_num_key_heads", "ssm_state_size", "mamba_d_state", "conv_L_cache")
    )  # fmt: skip
    alone = model_type in {"mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv5", "rwkv6", "rwkv7"}
    found = {
        "moe": any(isinstance(n, int) and n > 1 for n in experts),
        "mla": bool(merged.get("kv_lora_rank")),
        "swa": bool(merged.get("sliding_window")) or "sliding" in kinds,
        "ssm": alone,
        "hybrid": bool(state) and not alone,
        "encoder-decoder": bool(config.get("is_encoder_decoder")) or model_type in {"whisper", "t5", "bart"},
        "encoder": "bert" in model_type,
        "vision": "vision_config" in json.dumps(config),
        "audio": "audio_config" in json.dumps(config) or model_type == "whisper",
        "quantised": "quantization_config" in merged,
    }
    listed = [name for name, holds in found.items() if holds]
    return listed if set(listed) & {"moe", "ssm", "hybrid", "encoder"} else ["dense", *listed]


def name_aliases(rows: list[dict[str, Any]]) -> None:
    """Give each model the short names that no other model has."""
    short: dict[str, list[dict[str, Any]]] = {}
    own = {entry["id"].split("/")[-1].lower() for entry in rows}
    for entry in rows:
        name = entry["id"].split("/")[-1].lower()
        for candidate in {SUFFIXES.sub("", name), SUFFIXES.sub("", name.removeprefix("meta-"))}:
            if candidate not in own:
                short.setdefault(candidate, []).append(entry)
    for name, entries in sorted(short.items()):
        if len(entries) == 1:
            entries[0]["aliases"].append(name)


if __name__ == "__main__":
    main()
