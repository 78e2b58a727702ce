"""Audio towers: Whisper's encoder (Qwen2-Audio, Voxtral), Qwen2.5-Omni's and Qwen3-Omni's.

Source: transformers 5.23.0 ``models/{qwen2_audio,voxtral,qwen3_omni_moe}/modeling_*.py``.
"""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def whisper(draft: Draft, audio: Config, *, final: str = "layer_norm") -> int:
    """Add Whisper's encoder and return its width."""
    tower = Tower(draft, "model.audio_tower.")
    width = audio.integer("d_model", "hidden_size", least=1)
    bins = audio.integer("num_mel_bins", default=128, least=1)
    tower.patches("conv1", width, bins, 3)
    tower.patches("conv2", width, width, 3)
    tower.array("embed_positions.weight", audio.integer("max_source_positions", default=1500, least=1), width)
    _layers(tower, audio, width)
    tower.norm(final, width)
    return width


def qwen2_5_omni(draft: Draft, audio: Config) -> None:
    """Add Qwen2.5-Omni's tower: Whisper's without learned positions, two marks around a sound, one layer."""
    tower, width = Tower(draft, "model.audio_tower."), audio.integer("d_model", least=1)
    out = audio.integer("output_dim", default=3584, least=1)
    tower.patches("conv1", width, audio.integer("num_mel_bins", default=128, least=1), 3)
    tower.patches("conv2", width, width, 3)
    tower.array("audio_bos_eos_token.weight", 2, out)
    _layers(tower, audio, width)
    tower.norm("ln_post", width)
    tower.matrix("proj", out, width, bias=True)


def qwen3_omni(draft: Draft, audio: Config) -> None:
    """Add Qwen3-Omni's tower: three convolutions over time and frequency before Whisper's layers."""
    tower, width = Tower(draft, "model.audio_tower."), audio.integer("d_model", least=1)
    inner = audio.integer("downsample_hidden_size", default=480, least=1)
    bins = audio.integer("num_mel_bins", default=128, least=1)
    for _ in range(3):
        bins = (bins + 1) // 2
    tower.patches("conv2d1", inner, 1, 3, 3)
    tower.patches("conv2d2", inner, inner, 3, 3)
    tower.patches("conv2d3", inner, inner, 3, 3)
    tower.matrix("conv_out", width, inner * bins)
    _layers(tower, audio, width)
    tower.norm("ln_post", width)
    tower.matrix("proj1", width, width, bias=True)
    tower.matrix("proj2", audio.integer("output_dim", default=3584, least=1), width, bias=True)


def _layers(tower: Tower, audio: Config, width: int) -> None:
    """Add Whisper's layers; their key projection has no bias except in Qwen3-Omni."""
    layers = audio.layer_count("encoder_layers", "num_hidden_layers")
    inner = audio.integer("encoder_ffn_dim", "intermediate_size", least=1)
    keys = audio.model_type.startswith(("qwen3_omni", "qwen3_asr"))
    for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
        bias = keys or name != "k_proj"
        tower.matrix(f"layers.*.self_attn.{name}", width, width, bias=bias, layers=layers)
    tower.norm("layers.*.self_attn_layer_norm", width, layers=layers)
    tower.matrix("layers.*.fc1", inner, width, bias=True, layers=layers)
    tower.matrix("layers.*.fc2", width, inner, bias=True, layers=layers)
    tower.norm("layers.*.final_layer_norm", width, layers=layers)
