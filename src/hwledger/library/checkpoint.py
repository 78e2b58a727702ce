"""What the files of one model say, wherever they are: plain facts, read once, and their ModelSpec.

Every source ends here, so the same bytes give the same model whether they lie on disk, on a hub or in
another program's store, and what was read can be kept without keeping a model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import MissingError
from hwledger.library.files import Files
from hwledger.library.json_file import read_json_object
from hwledger.library.paths import shown
from hwledger.library.stored import StoredTensor, spec_from_weights, with_stored_weights
from hwledger.model.origin import Origin
from hwledger.model.spec import ModelSpec

if TYPE_CHECKING:
    from hwledger.library.gguf.reader import GgufHeader

CONFIG: Final = "config.json"
QUANT_CONFIG: Final = "hf_quant_config.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The facts of one model's files.

    Attributes:
        name: what the model is called where it is.
        where: place, for sentences and provenance.
        config: the config.json.
        quant_config: the hf_quant_config.json.
        adapter: the adapter_config.json, where the files are an adapter of another model.
        tensors: of safetensors or npz headers.
        tensor_format: ``safetensors``, ``npz`` or empty.
        gguf: the GGUF header, which then is all there is.
        header_bytes: bytes of the headers and configs.
        files: files that were read.
        notes: what was left aside, in sentences.
        origin: where the files are, for those who run the model.
    """

    name: str
    where: str
    config: Mapping[str, Any] | None = None
    quant_config: Mapping[str, Any] | None = None
    adapter: Mapping[str, Any] | None = None
    tensors: tuple[StoredTensor, ...] = ()
    tensor_format: str = ""
    gguf: "GgufHeader | None" = None
    header_bytes: int = 0
    files: int = 0
    notes: tuple[str, ...] = ()
    origin: Origin | None = None


def read_checkpoint(files: Files, config: str = CONFIG) -> Checkpoint:
    """Return the facts of a config and of the weights beside it; either may be absent.

    Args:
        files: the folder or repository.
        config: name of the config; one that is not called ``config.json`` stands alone.

    Raises:
        MissingError: there is neither a config nor weights, or a file of the weights is not there.
        MalformedError: a file is broken, hostile or contradictory.
        InputError: a file cannot be read.
    """
    sizes = files.sizes()
    if config != CONFIG:
        raw = read_json_object(files, config)
        name = _stated_name(raw) or shown(config).removesuffix(".json")
        return Checkpoint(name=name, where=f"{files.where}/{shown(config)}", config=raw, files=1)
    configs = {
        name: read_json_object(files, name)
        for name in (CONFIG, QUANT_CONFIG, ADAPTER_CONFIG)
        if name in sizes
    }
    tensors = _read_tensors(files, sizes)
    if CONFIG not in configs and not tensors.tensors:
        what = "no config.json, no .gguf, .safetensors or .npz file"
        raise MissingError(f"{files.where}: no model here: {what}")
    return replace(
        tensors,
        name=_stated_name(configs.get(CONFIG)) or files.name,
        where=files.where,
        config=configs.get(CONFIG),
        quant_config=configs.get(QUANT_CONFIG) if CONFIG in configs else None,
        adapter=None if CONFIG in configs else configs.get(ADAPTER_CONFIG),
        header_bytes=tensors.header_bytes + sum(sizes[name] for name in configs),
        files=tensors.files + len(configs),
    )


def read_gguf_checkpoint(files: Files, name: str) -> Checkpoint:
    """Return the facts of the GGUF model whose only or first file is ``name``.

    Raises:
        MissingError: the file, or one of its parts, is not there.
        MalformedError: a header is broken, hostile or contradictory.
        InputError: a file cannot be read.
    """
    from hwledger.library.gguf.shards import read_gguf_model  # noqa: PLC0415 - start-up time

    header = read_gguf_model(files, name)
    parts = header.metadata.get("split.count")
    return Checkpoint(
        name="", where=f"{files.where}/{shown(name)}", gguf=header, header_bytes=header.header_bytes,
        files=parts if isinstance(parts, int) and parts else 1,
    )  # fmt: skip


def checkpoint_spec(checkpoint: Checkpoint) -> ModelSpec:
    """Return the model that the facts describe.

    Raises:
        MalformedError: the config or the GGUF metadata is absurd or contradicts itself.
    """
    spec = _spec(checkpoint)
    return replace(spec, unknowns=(*spec.unknowns, *checkpoint.notes), origin=checkpoint.origin)


def _spec(checkpoint: Checkpoint) -> ModelSpec:
    if checkpoint.gguf is not None:
        from hwledger.library.gguf.spec import gguf_spec  # noqa: PLC0415 - start-up time

        return gguf_spec(checkpoint.gguf, checkpoint.where)
    if checkpoint.config is None:
        return spec_from_weights(checkpoint)
    from hwledger.library.config import read_config  # noqa: PLC0415 - start-up time

    alone = checkpoint.where.endswith(".json")
    spec = read_config(
        checkpoint.config, where=checkpoint.where if alone else f"{checkpoint.where}/{CONFIG}",
        name=checkpoint.name, quant_raw=checkpoint.quant_config,
    )  # fmt: skip
    return with_stored_weights(spec, checkpoint) if checkpoint.tensors else spec


def _stated_name(raw: Mapping[str, Any] | None) -> str:
    stated = (raw or {}).get("_name_or_path")
    return stated if isinstance(stated, str) else ""


def _read_tensors(files: Files, sizes: Mapping[str, int]) -> Checkpoint:
    """Return a checkpoint of the tensors alone."""
    if any(name.endswith(".safetensors") for name in sizes):
        from hwledger.library.safetensors.reader import (  # noqa: PLC0415 - start-up time
            read_safetensors_model,
        )

        header = read_safetensors_model(files)
        return Checkpoint(
            name="", where="", tensors=header.tensors, tensor_format="safetensors", notes=header.notes,
            header_bytes=header.header_bytes, files=header.files,
        )  # fmt: skip
    names = sorted(name for name in sizes if name.endswith(".npz"))
    if not names:
        pickle = next((name for name in sorted(sizes) if name.endswith(PICKLES)), "")
        return Checkpoint(name="", where="", notes=tuple(_without_headers(sizes, pickle)))
    from hwledger.library.npz.reader import read_npz  # noqa: PLC0415 - rare

    headers = files.each(lambda name: read_npz(files, name), names)
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    return Checkpoint(name="", where="", tensors=tensors, tensor_format="npz", files=len(names))


def _without_headers(sizes: Mapping[str, int], pickle: str) -> Iterator[str]:
    """Yield why a config stands alone, where something says that it should not."""
    if pickle:
        yield f"{pickle} is a pickle, which is never opened: sizes are computed from the config"
    index = next((name for name in sizes if name.endswith(".safetensors.index.json")), "")
    if index:
        yield f"the model is incomplete: none of the weights that {index} lists is here"
