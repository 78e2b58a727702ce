"""Wrappers whose vision tower joins the text model in a way of its own: Command A Vision, Aria, others.

Source of every shape: transformers 5.24.0 ``models/*/modeling_*.py`` of the wrapper's type.
"""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families import decoder
from hwledger.library.config.families.multimodal import part_config, text_draft, two_linears, vision_tower
from hwledger.library.config.families.towers import ernie, glm, qwen, siglip
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config
from hwledger.model.tensors import Part, Split


def vipllava(config: Config) -> Draft:
    """Read ViP-LLaVA: CLIP, a norm over several of its layers side by side, two linear layers."""
    draft = text_draft(config)
    width = vision_tower(draft, config, "clip_vision_model")
    if width:
        layers = config.value("vision_feature_layers", "vision_feature_layer", default=[-2, -5, -8, -11, 6])
        joined = width * (len(layers) if isinstance(layers, list) else 1)
        Tower(draft, "model.multi_modal_projector.").norm("projector_layernorm", joined)
        two_linears(draft, joined)
    return draft


def video_llava(config: Config) -> Draft:
    """Read Video-LLaVA: a CLIP for pictures, another one for films, two linear layers."""
    draft = text_draft(config)
    vision_tower(draft, config, "clip_vision_model")
    width = vision_tower(draft, config, "clip_vision_model")
    if width:
        two_linears(draft, width)
    return draft


def cohere2_vision(config: Config) -> Draft:
    """Read Command A Vision: SigLIP, pixels folded into channels, a gated pair of linear layers."""
    draft = text_draft(config)
    width = vision_tower(draft, config, "siglip_vision_model")
    if width:
        inner = config.integer("alignment_intermediate_size", default=36864, least=2)
        projector = Tower(draft, "model.multi_modal_projector.")
        folded = width * config.integer("downsample_factor", default=2, least=1) ** 2
        projector.matrix("linear_1", inner, folded, bias=True)
        projector.matrix("linear_2", draft.hidden, inner // 2, bias=True)
    return draft


def aria(config: Config) -> Draft:
    """Read Aria: SigLIP's shape without its head, queries that attend to patches, a gated pair of layers."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is None:
        return draft
    width = siglip.siglip(draft, vision, pooled=False)
    projector = Tower(draft, "model.multi_modal_projector.")
    table = config.value("projector_patch_to_query_dict", default={})
    stated = [each for each in table.values() if isinstance(each, int)] if isinstance(table, dict) else []
    queries = config.integer("max_value_projector_patch_to_query_dict", default=max(stated, default=256))
    projector.array("query", queries, width)
    for name in ("q_proj", "k_proj", "v_proj"):
        projector.matrix(f"cross_attn.{name}", width, width)
    projector.matrix("cross_attn.multihead_attn.in_proj", 3 * width, width, bias=True)
    for name in ("multihead_attn.out_proj", "linear"):
        projector.matrix(f"cross_attn.{name}", width, width, bias=True)
    for name in ("cross_attn.layer_norm", "cross_attn.layer_norm_kv", "layer_norm"):
        projector.norm(name, width)
    projector.matrix("feed_forward.linear_in", draft.hidden, width)
    projector.matrix("feed_forward.linear_out", draft.hidden, draft.hidden)
    return draft


def paddleocr_vl(config: Config) -> Draft:
    """Read PaddleOCR-VL: SigLIP's shape without its head, patches folded by four, two linear layers."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        width = siglip.siglip(draft, vision, pooled=False)
        folded = width * vision.integer("spatial_merge_size", default=2, least=1) ** 2
        projector = Tower(draft, "model.projector.")
        projector.norm("pre_norm", width)
        projector.matrix("linear_1", folded, folded, bias=True)
        projector.matrix("linear_2", draft.hidden, folded, bias=True)
    return draft


def exaone4_5(config: Config) -> Draft:
    """Read EXAONE 4.5: Qwen2.5-VL's tower with fewer KV heads."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        qwen.qwen2_5(draft, vision)
    return draft


def glm_ocr(config: Config) -> Draft:
    """Read GLM-OCR."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        glm.glm_ocr(draft, vision)
    return draft


def ernie4_5_vl(config: Config) -> Draft:
    """Read ERNIE 4.5 VL: experts for text and for pictures in each layer, a resampler in space and time."""
    if not config.has("text_config"):  # the first files keep the text model's keys at the top
        text = {**config.raw, "model_type": "ernie4_5_vl_moe_text"}
        config = Config({**config.raw, "text_config": text}, config.where, facts=config.facts)
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is not None:
        ernie.ernie(draft, vision)
    return draft


def molmo(config: Config) -> Draft:
    """Read Molmo's text model; its tower's sizes lie in its code, and so it is said to be left out.

    Source: allenai/Molmo-7B-D-0924 ``modeling_molmo.py`` (remote code): the stated MLP width is that of gate
    and up together.
    """
    draft = decoder.read(config)
    rows = config.integer("additional_vocab_size", default=128)
    draft.add("model.embed_tokens.new_embedding", (rows, draft.hidden), Part.EMBEDDING, split=Split.VOCAB)
    draft.unknowns.append("the vision tower of molmo is not stated in its file: it is not counted")
    return draft


def minicpmv(config: Config) -> Draft:
    """Read MiniCPM-V 2.6 and 4: SigLIP for any resolution, and a resampler of learned queries.

    The text model's keys lie at the top; ``version`` says which it is. Source: openbmb/MiniCPM-V-2_6
    ``modeling_minicpmv.py``, ``resampler.py`` and ``modeling_navit_siglip.py`` (remote code).
    """
    version = str(config.value("version", default="2.6"))
    kind = _MINICPMV_TEXT.get(version, "llama")
    raw = {**config.raw, "model_type": "", "text_config": {**config.raw, "model_type": kind}}
    draft = text_draft(Config(raw, config.where, facts=config.facts))
    if version not in _MINICPMV_TEXT:
        draft.unknowns.append(
            f"version {version} of MiniCPM-V is not known: its text model is read as a Llama"
        )
    vision = part_config(config, "vision_config", "siglip_vision_model")
    if vision is not None:
        width = siglip.siglip(draft, vision, pooled=False)
        _resampler(draft, width, config.integer("query_num", default=64, least=1))
    return draft


def gemma4_unified(config: Config) -> Draft:
    """Read Gemma 4 without encoders: patches and frames of sound are projected, and no more."""
    draft = text_draft(config)
    if (vision := config.nested("vision_config")) is not None:
        tower, width = (
            Tower(draft, "model.embed_vision."),
            vision.integer("mm_embed_dim", default=3840, least=1),
        )
        side = vision.integer("patch_size", default=16, least=1)
        side *= vision.integer("pooling_kernel_size", default=3, least=1)
        tower.norm("patch_ln1", 3 * side**2)
        tower.matrix("patch_dense", width, 3 * side**2, bias=True)
        tower.array("pos_embedding", vision.integer("mm_posemb_size", default=1120, least=1), 2, width)
        tower.norm("patch_ln2", width)
        tower.norm("pos_norm", width)
        tower.matrix("multimodal_embedder.embedding_projection", draft.hidden, width)
    if (sound := config.nested("audio_config")) is not None:
        width = sound.integer("audio_embed_dim", default=640, least=1)
        Tower(draft, "model.embed_audio.").matrix("embedding_projection", draft.hidden, width)
    return draft


def minicpmv4_6(config: Config) -> Draft:
    """Read MiniCPM-V 4.6 and 4.7: SigLIP's shape, a merger of patches within it, another behind it."""
    draft = text_draft(config)
    vision = part_config(config, "vision_config")
    if vision is None:
        return draft
    width = siglip.siglip(draft, vision, pooled=False)
    folded = 4 * width  # two by two patches
    inner = Tower(draft, "model.vision_tower.vit_merger.")
    inner.attention("self_attn", width)
    inner.norm("layer_norm1", width)
    inner.norm("pre_norm", folded)
    inner.matrix("linear_1", 4 * folded, folded, bias=True)
    inner.matrix("linear_2", width, 4 * folded, bias=True)
    merger = Tower(draft, "model.merger.mlp.0.")
    merger.norm("pre_norm", folded)
    merger.matrix("linear_1", folded, folded, bias=True)
    merger.matrix("linear_2", draft.hidden, folded, bias=True)
    return draft


_MINICPMV_TEXT = {"2.5": "llama", "2.6": "qwen2", "4.0": "llama", "4.5": "qwen3"}


def _resampler(draft: Draft, width: int, queries: int) -> None:
    tower, hidden = Tower(draft, "resampler."), draft.hidden
    tower.array("query", queries, hidden)
    tower.matrix("kv_proj", hidden, width)
    tower.matrix("attn.in_proj", 3 * hidden, hidden, bias=True)
    tower.matrix("attn.out_proj", hidden, hidden, bias=True)
    for name in ("ln_q", "ln_kv", "ln_post"):
        tower.norm(name, hidden)
    tower.array("proj", hidden, hidden)
