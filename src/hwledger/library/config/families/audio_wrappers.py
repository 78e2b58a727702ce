"""Wrappers of a text model that hears: Qwen2.5-Omni's thinker, Qwen3-ASR, Audio Flamingo 3.

Source of every shape: transformers 5.24.0 ``models/{qwen2_5_omni,qwen3_asr,audioflamingo3}/modeling_*.py``.
"""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.multimodal import part_config, text_draft, two_linears
from hwledger.library.config.families.towers import audio, qwen
from hwledger.library.config.reader import Config


def qwen2_5_omni(config: Config) -> Draft:
    """Read the thinker of Qwen2.5-Omni: text, vision and audio; the talker is said to be left out."""
    nested = config.nested("thinker_config")
    thinker = nested or config
    if nested is not None:
        raw = {**nested.raw, "model_type": "qwen2_5_omni_thinker"}
        thinker = Config(raw, config.where, path=nested.path, facts=config.facts)
    draft = text_draft(thinker)
    vision, sound = part_config(thinker, "vision_config"), part_config(thinker, "audio_config")
    if vision is not None:
        qwen.qwen2_5(draft, vision)
    if sound is not None:
        audio.qwen2_5_omni(draft, sound)
    if nested is not None and config.value("enable_audio_output", default=True):
        draft.unknowns.append("the talker and the vocoder are not counted: engines load the thinker alone")
    return draft


def qwen3_asr(config: Config) -> Draft:
    """Read Qwen3-ASR: Qwen3-Omni's audio tower, whose two last layers are the projector."""
    nested = config.nested("thinker_config")  # the files of the first release wrap it as Omni's do
    thinker = config
    if nested is not None:
        thinker = Config({**nested.raw, "model_type": config.model_type}, config.where, path=nested.path,
                         facts=config.facts)  # fmt: skip
    draft = text_draft(thinker)
    sound = part_config(thinker, "audio_config")
    if sound is not None:
        audio.qwen3_omni(draft, sound)
    return draft


def audioflamingo3(config: Config) -> Draft:
    """Read Audio Flamingo 3 and Music Flamingo: Whisper's encoder and two linear layers."""
    draft = text_draft(config)
    sound = part_config(config, "audio_config")
    if sound is not None:
        width = audio.whisper(draft, sound)
        bias = config.flag("projector_bias", default=True)
        two_linears(draft, width, bias=bias)
    return draft
