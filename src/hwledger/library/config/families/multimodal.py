"""Multimodal wrappers: a text model by its own family, and the towers and projectors around it.

Source of every shape: transformers 5.23.0 ``models/*/modeling_*.py`` of the wrapper's ``model_type``.
"""

from collections.abc import Callable, Mapping

from hwledger.library.config.defaults import class_defaults
from hwledger.library.config.draft import Draft
from hwledger.library.config.families import reader_of
from hwledger.library.config.families.towers import (
    audio,
    glm,
    internvl,
    llama,
    minimax,
    moonvit,
    pixtral,
    qwen,
    siglip,
    step,
)
from hwledger.library.config.families.towers import gemma4 as gemma4_tower
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config

TIED = "tie_word_embeddings"
TEXT_KEYS = ("text_config", "llm_config", "language_config", "thinker_config")
VISION_TOWERS: Mapping[str, Callable[[Draft, Config], int]] = {
    "siglip_vision_model": siglip.siglip, "siglip2_vision_model": siglip.siglip2,
    "clip_vision_model": siglip.clip, "pixtral": pixtral.pixtral, "internvl_vision": internvl.internvl,
    "intern_vit_6b": internvl.internvl,
}  # fmt: skip


def text_draft(config: Config, *, tied: bool | None = None) -> Draft:
    """Return the draft of the text model, tied as the wrapper says (``tied`` where it does not).

    Old files keep the text model's keys at the top, beside ``vision_config``.
    """
    text = config.nested(*TEXT_KEYS)
    kind = next(
        (config.defaults.nested[key] for key in TEXT_KEYS if config.defaults.nested.get(key)), "llama"
    )
    raw = text.raw if text is not None else {**config.raw, "model_type": kind}
    name = (text.model_type if text is not None else kind) or kind
    says = _tied(config, text, name, tied)
    extra = {} if says is None else {TIED: says}
    path = text.path if text is not None else config.path
    whole = Config({**raw, **extra, "model_type": name}, config.where, path=path, facts=config.facts)
    reader, kind = reader_of(whole)
    draft = reader(whole)
    if kind:
        draft.unknowns.append(f"text model {name} is not known: its layers are read as those of {kind}")
    if text is None and not any(
        config.has(key) for key in ("hidden_size", "num_hidden_layers", "vocab_size")
    ):
        draft.unknowns.append(
            f"there is no text_config: the text model is {name} with the sizes of its class"
        )
    return draft


def _tied(config: Config, text: Config | None, name: str, tied: bool | None) -> bool | None:  # noqa: FBT001 - private
    """Return what the wrapper says of the output matrix; ``None`` leaves it to the text model.

    What a file states comes before any class default. A file that an older transformers than 5 wrote
    leaves it to the text model, whose own class decided then (Mistral Small 3.1).
    """
    if config.has(TIED):
        return config.flag(TIED)
    if text is not None and text.has(TIED):
        return None
    if TIED not in config.defaults.values:
        return tied
    own = class_defaults(name)
    if tied is None and own is not None and own.values.get(TIED) is False and _of_an_older_library(config):
        return None
    return config.flag(TIED)


def _of_an_older_library(config: Config) -> bool:
    """Whether the file says that a transformers before 5 wrote it."""
    major = str(config.raw.get("transformers_version", "")).partition(".")[0]
    return major.isdecimal() and int(major) < 5  # noqa: PLR2004 - the version whose wrappers tie


def part_config(config: Config, key: str, default: str = "") -> Config | None:
    """Return a nested config; the class defaults where it is absent; ``None`` where it is null."""
    kind = config.defaults.nested.get(key) or default
    if key in config.raw and config.raw[key] is None:
        return None
    found = config.nested(key)
    raw = found.raw if found is not None else {}
    named = raw.get("model_type") or kind
    return Config({**raw, "model_type": named}, config.where, path=f"{config.path}{key}.", facts=config.facts)


def vision_tower(draft: Draft, config: Config, default: str) -> int | None:
    """Add the tower that ``vision_config`` names and return its width, ``None`` where it is not known."""
    vision = part_config(config, "vision_config", default)
    if vision is None:
        return None
    build = VISION_TOWERS.get(vision.model_type)
    if build is None:
        draft.unknowns.append(
            f"vision tower {vision.model_type or 'without a name'} is not known: it is not counted"
        )
        return None
    return build(draft, vision)


def two_linears(draft: Draft, inputs: int, *, bias: bool = True, name: str = "multi_modal_projector") -> None:
    """Add a projector of two linear layers that leads from ``inputs`` to the text model's width."""
    projector = Tower(draft, f"model.{name}.")
    projector.matrix("linear_1", draft.hidden, inputs, bias=bias)
    projector.matrix("linear_2", draft.hidden, draft.hidden, bias=bias)


def text_only(config: Config) -> Draft:
    """Read a wrapper whose towers are not known: the text model, and a sentence about the rest."""
    draft = text_draft(config)
    draft.unknowns.append(
        f"towers of {config.model_type or 'this model'} are not known: they are not counted"
    )
    return draft


def gemma3(config: Config) -> Draft:
    """Read Gemma 3: SigLIP and one matrix that averages patches into soft tokens."""
    draft = text_draft(config)
    width = vision_tower(draft, config, "siglip_vision_model")
    if width:
        projector = Tower(draft, "model.multi_modal_projector.")
        projector.array("mm_input_projection_weight", width, draft.hidden)
        projector.norm("mm_soft_emb_norm", width, bias=False)
    return draft


def gemma4(config: Config) -> Draft:
    """Read Gemma 4: its own vision tower, an audio tower in the small ones, a projection each."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config") if config.has("vision_config") else None
    if vision is not None:
        width = gemma4_tower.gemma4_vision(draft, vision)
        Tower(draft, "model.embed_vision.").matrix("embedding_projection", draft.hidden, width)
    if config.has("audio_config"):
        sound = part_config(config, "audio_config")
        if sound is not None:
            width = gemma4_tower.gemma4_audio(draft, sound)
            Tower(draft, "model.embed_audio.").matrix("embedding_projection", draft.hidden, width)
    return draft


def llama4(config: Config) -> Draft:
    """Read Llama 4; the output matrix belongs to the text model."""
    text = config.nested("text_config")
    draft = text_draft(config, tied=text.flag("tie_word_embeddings") if text is not None else None)
    vision = part_config(config, "vision_config")
    if vision is not None:
        llama.llama4(draft, vision, draft.hidden)
    return draft


def mllama(config: Config) -> Draft:
    """Read Llama 3.2 Vision."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        llama.mllama(draft, vision, draft.hidden)
    return draft


def qwen2_vl(config: Config) -> Draft:
    """Read Qwen2-VL."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        qwen.qwen2(draft, vision)
    return draft


def qwen2_5_vl(config: Config) -> Draft:
    """Read Qwen2.5-VL."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        qwen.qwen2_5(draft, vision)
    return draft


def qwen3_vl(config: Config) -> Draft:
    """Read Qwen3-VL, dense or routed."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        qwen.qwen3(draft, vision)
    return draft


def qwen3_5(config: Config) -> Draft:
    """Read Qwen3.5 and later: Qwen3-VL's tower without deepstack."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        qwen.qwen3(draft, vision, deepstack=False)
    return draft


def glm4v(config: Config) -> Draft:
    """Read GLM-4.1V and GLM-4.5V."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        glm.glm4v(draft, vision)
    return draft


def lfm2_vl(config: Config) -> Draft:
    """Read LFM2-VL: SigLIP 2, pixels folded into channels, two linear layers."""
    draft = text_draft(config)
    width = vision_tower(draft, config, "siglip2_vision_model")
    if width:
        factor = config.integer("downsample_factor", default=2, least=1)
        inner = config.integer("projector_hidden_size", default=2560, least=1)
        bias = config.flag("projector_bias", default=True)
        projector = Tower(draft, "model.multi_modal_projector.")
        if config.flag("projector_use_layernorm", default=True):
            projector.norm("layer_norm", width * factor**2)
        projector.matrix("linear_1", inner, width * factor**2, bias=bias)
        projector.matrix("linear_2", draft.hidden, inner, bias=bias)
    return draft


def mistral3(config: Config) -> Draft:
    """Read Mistral Small 3 and Ministral 3: Pixtral, a patch merger, two linear layers."""
    draft = text_draft(config)
    width = vision_tower(draft, config, "pixtral")
    if width:
        merge = config.integer("spatial_merge_size", default=2, least=1)
        projector = Tower(draft, "model.multi_modal_projector.")
        projector.norm("norm", width, bias=False)
        projector.matrix("patch_merger.merging_layer", width, width * merge**2)
        two_linears(draft, width, bias=config.flag("multimodal_projector_bias"))
    return draft


def llava(config: Config) -> Draft:
    """Read LLaVA, LLaVA-NeXT and LLaVA-OneVision; several feature layers widen the projector's input."""
    draft = text_draft(config)
    width = vision_tower(draft, config, "clip_vision_model")
    if width:
        layers = config.value("vision_feature_layer", default=-2)
        count = len(layers) if isinstance(layers, list) else 1
        bias = config.flag("multimodal_projector_bias", default=True)
        two_linears(draft, width * count, bias=bias)
        if config.model_type != "llava":
            Tower(draft, "model.").array("image_newline", draft.hidden)
    return draft


def internvl_chat(config: Config) -> Draft:
    """Read InternVL: pixels folded into channels, a norm and two linear layers."""
    draft = text_draft(config)
    width = vision_tower(draft, config, "internvl_vision")
    if width:
        folded = int(width * (1 / config.number("downsample_ratio", default=0.5)) ** 2)
        Tower(draft, "model.multi_modal_projector.").norm("layer_norm", folded)
        two_linears(draft, folded)
    return draft


def paligemma(config: Config) -> Draft:
    """Read PaliGemma: SigLIP and one linear layer."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config", "siglip_vision_model")
    if vision is not None:
        width = siglip.siglip(draft, vision, pooled=config.has("vision_config"))
        Tower(draft, "model.multi_modal_projector.").matrix("linear", draft.hidden, width, bias=True)
    return draft


def idefics3(config: Config) -> Draft:
    """Read Idefics 3 and SmolVLM: SigLIP's shape, pixels folded into channels, one matrix."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        width = siglip.siglip(draft, vision, pooled=False)
        scale = config.integer("scale_factor", default=2, least=1)
        Tower(draft, "model.connector.").matrix("modality_projection.proj", draft.hidden, width * scale**2)
    return draft


def kimi_k25(config: Config) -> Draft:
    """Read Kimi-K2.5 and later: MoonViT around a DeepSeek-V3 shaped text model."""
    text = config.nested("text_config")
    draft = text_draft(config, tied=text.flag("tie_word_embeddings") if text is not None else None)
    vision = part_config(config, "vision_config")
    if vision is not None:
        moonvit.moonvit(draft, vision)
    return draft


def minimax_m3(config: Config) -> Draft:
    """Read MiniMax-M3 with its vision tower."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        minimax.minimax_m3(
            draft, vision, config.integer("projector_hidden_size", default=draft.hidden, least=1)
        )
    return draft


def step3p7(config: Config) -> Draft:
    """Read Step-3.7."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        step.step3p7(draft, vision)
    return draft


def qwen3_omni(config: Config) -> Draft:
    """Read the thinker of Qwen3-Omni: text, vision and audio; the talker is said to be left out."""
    nested = config.nested("thinker_config")
    thinker = nested or config
    if nested is not None:
        kind = "qwen3_omni_moe_thinker"
        raw = {**nested.raw, "model_type": kind}
        thinker = Config(raw, config.where, path=nested.path, facts=config.facts)
    draft = text_draft(thinker)
    vision, sound = part_config(thinker, "vision_config"), part_config(thinker, "audio_config")
    if vision is not None:
        qwen.qwen3(draft, vision)
    if sound is not None:
        audio.qwen3_omni(draft, sound)
    if config.value("enable_audio_output", default=nested is not None):
        draft.unknowns.append("the talker and the vocoder are not counted: engines load the thinker alone")
    return draft


def qwen2_audio(config: Config) -> Draft:
    """Read Qwen2-Audio: Whisper's encoder and one linear layer."""
    draft = text_draft(config)
    sound = part_config(config, "audio_config", "qwen2_audio_encoder")
    if sound is not None:
        width = audio.whisper(draft, sound)
        Tower(draft, "model.multi_modal_projector.").matrix("linear", draft.hidden, width, bias=True)
    return draft


def voxtral(config: Config) -> Draft:
    """Read Voxtral: Whisper's encoder, four frames folded into one, two linear layers."""
    draft = text_draft(config)
    sound = part_config(config, "audio_config", "voxtral_encoder")
    if sound is not None:
        audio.whisper(draft, sound)
        folded = sound.integer("intermediate_size", "encoder_ffn_dim", least=1)
        projector = Tower(draft, "model.multi_modal_projector.")
        projector.matrix("linear_1", draft.hidden, folded)
        projector.matrix("linear_2", draft.hidden, draft.hidden)
    return draft


def gemma3n(config: Config) -> Draft:
    """Read Gemma 3n's text model; its MobileNet and conformer are said to be left out."""
    draft = text_draft(config)
    draft.unknowns.append(
        "the vision and audio towers of gemma3n are not modelled: their weights are not counted"
    )
    return draft
