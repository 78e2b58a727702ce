"""Where a program finds the model, and refusing what it cannot read."""

import re
from dataclasses import dataclass
from typing import Final

from hwledger.errors import UsageError
from hwledger.model.ggml_mixes import ggml_mix, is_ggml_mix
from hwledger.model.number_types import number_type
from hwledger.model.origin import Origin, Place
from hwledger.model.packings import named_packings
from hwledger.model.spec import ModelSpec
from hwledger.planner.export.recipe import Draft
from hwledger.planner.export.spelling import unreadable, word_of, words_of

GGUF: Final = "gguf"
_ESCAPED: Final = re.compile(r"\\x(?:[01][0-9a-f]|7f|[89a-f][0-9a-f])")
"""A control, or a byte that is no text, as ``library.paths.shown`` writes it: no file is called so."""
ADAPTER: Final = "adapter"
"""What requests call the adapter, and the setting that holds it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """How a program that takes names of the hub and paths is told the model.

    Attributes:
        text: ``org/repo`` or a path.
        revision: commit or tag; empty where none is known.
        local: the path, where it is one.
    """

    text: str
    revision: str = ""
    local: str = ""


def origin_of(spec: ModelSpec) -> Origin:
    """Return where the model is.

    Raises:
        UsageError: that is not known, or could be taken for a flag.
    """
    origin = spec.origin
    if origin is None or not origin.name:
        raise UsageError(
            f"where {spec.id!r} is found is not known: plan it by its name on the hub, a path or an address"
        )
    return _writable(origin)


def _writable(origin: Origin) -> Origin:
    words = origin.name + origin.path
    if origin.name.startswith("-") or not words.isprintable() or _ESCAPED.search(words):
        raise UsageError(
            f"{origin.name!r} cannot be written into a command: rename the model's file or folder"
        )
    return origin


def check_readable(draft: Draft) -> None:
    """Refuse a format or packing that the program cannot read.

    Raises:
        UsageError: with what to do instead.
    """
    spec = draft.plan.spec
    method = spec.quantisation.method if spec.quantisation else ""
    forms = [spec.format, *([method] if method else []), *(["*"] if spec.format != GGUF else [])]
    for form in forms:
        instead = unreadable(draft.target, form, draft.version)
        if instead:
            what = method if form == method else said_format(spec)
            raise UsageError(f"{draft.named} cannot read {spec.id}, which is in {what}: {instead}")


def said_format(spec: ModelSpec) -> str:
    """Return the format in words: the catalogue and plain configs stand for safetensors."""
    return {"gguf": "GGUF", "mlx": "MLX's format"}.get(spec.format, "safetensors")


def hub_or_folder(draft: Draft) -> Reference:
    """Return the reference for programs that read safetensors from the hub or a folder.

    Raises:
        UsageError: the model is somewhere that they cannot read.
    """
    spec = draft.plan.spec
    origin = origin_of(spec)
    if origin.place is Place.HUB:
        if origin.path:
            raise UsageError(
                f"{draft.title} reads the root of a repository, and the model is {origin.path}"
                f" in {origin.name}:"
                f' fetch it with \'hf download {origin.name} --include "{origin.path}/*"'
                f" --local-dir DIR' and"
                " plan the folder"
            )
        if not spec.revision:
            draft.note("no revision is pinned: the newest commit of the repository is what will run")
        return Reference(origin.name, spec.revision)
    if origin.place is Place.FOLDER:
        return Reference(origin.name, local=origin.name)
    raise UsageError(
        f"{draft.title} cannot be told {origin.name}: plan the folder of its safetensors or its repository"
    )


def opened(draft: Draft) -> Reference:
    """Return what a program that reads safetensors is to be told of the model.

    Raises:
        UsageError: it cannot read the model, or cannot be told it.
    """
    check_readable(draft)
    return hub_or_folder(draft)


def adapter_of(draft: Draft) -> Reference | None:
    """Return the adapter of the plan; ``None`` where it has none.

    Raises:
        UsageError: it is in a folder of a repository, or could be taken for a flag.
    """
    origin = draft.plan.spec.adapter
    if origin is None:
        return None
    _writable(origin)
    if origin.place is not Place.HUB:
        return Reference(origin.name, local=origin.name)
    if origin.path:
        raise UsageError(
            f"{draft.title} reads the root of a repository, and the adapter is {origin.path} in"
            f' {origin.name}: fetch it with \'hf download {origin.name} --include "{origin.path}/*"'
            " --local-dir DIR' and plan the folder"
        )
    draft.note(f"the newest commit of the adapter {origin.name} is what will run: none is pinned")
    return Reference(origin.name)


def weights_name(name: str) -> str:
    """Return the plan's own name of a weight type: ``awq`` is ``int4``, ``q4_k_m`` is ``Q4_K_M``."""
    if named := named_packings().get(name.lower()):
        return named.packing.name
    return ggml_mix(name) if is_ggml_mix(name) else number_type(name).name


def packed_as(draft: Draft) -> tuple[str, str]:
    """Return the type that the weights are packed into while loading, and the program's word for it.

    Both are empty where the plan has the weights as they are stored.

    Raises:
        UsageError: the program cannot do that, or the weights are packed already.
    """
    plan = draft.plan
    wanted = plan.request.weights or plan.request.options.get("quantization")
    draft.skip("quantization")
    if wanted is None:
        return "", ""
    name = weights_name(str(wanted))
    if name == plan.spec.number_type and plan.spec.quantisation is None:
        return "", ""
    word = word_of(draft.target, "weights", name, draft.version)
    if word is None or plan.spec.quantisation is not None:
        raise no_such_packing(draft, name)
    return name, word


def no_such_packing(draft: Draft, wanted: str) -> UsageError:
    """Return the refusal of weights that the program does not pack while loading."""
    packed = draft.plan.spec.quantisation
    if packed is not None:
        return UsageError(
            f"{draft.plan.spec.id} is packed already ({packed.method}), so {draft.title} cannot pack it as"
            f" {wanted} while loading: plan it as it is stored, or its unpacked original"
        )
    can = ", ".join(words_of(draft.target, "weights", draft.version)) or "nothing"
    return UsageError(
        f"{draft.named} does not pack weights as {wanted} while loading (it can: {can}): name a checkpoint"
        f" that is stored as {wanted} and plan that"
    )
