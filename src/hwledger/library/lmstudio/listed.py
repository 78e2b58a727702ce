"""Models as LM Studio's server lists them, in the newer and the older API, and how it runs each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hwledger.library.fields import mapping, rows, text, whole
from hwledger.library.lmstudio.store import key_of

LONGEST_NAME: Final = 200
_ENGINES: Final = {"gguf": "llama.cpp", "mlx": "mlx"}
_OTHER_KINDS: Final = frozenset({"embedding", "embeddings"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One model as the server lists it; what it does not say is empty or ``None``.

    Attributes:
        key: what the server calls it.
        kind: ``llm``, ``vlm``, ``embedding``.
        publisher: who published it.
        format: ``gguf`` or ``mlx``.
        architecture, quantisation, parameters: as stated.
        size: bytes on its disk.
        context: tokens that the model was made for.
        variants: keys of its quantisations.
        loaded: whether it is in memory.
        config: the settings that it was loaded with.
    """

    key: str
    kind: str = ""
    publisher: str = ""
    format: str = ""
    architecture: str = ""
    quantisation: str = ""
    parameters: str = ""
    size: int | None = None
    context: int | None = None
    variants: tuple[str, ...] = ()
    loaded: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What is known of it, for a sentence."""
        size = f"{self.size:,} bytes" if self.size else ""
        known = (self.architecture, self.parameters, self.quantisation, self.format, size)
        return ", ".join(part for part in known if part) or "nothing more"

    @property
    def repository(self) -> str:
        """The repository of the hub that is called like it; empty where its names make none."""
        name = key_of(self.key.rpartition("/")[2])
        if not self.publisher or not name or "/" in self.publisher:
            return ""
        if self.format == "mlx":
            return f"{self.publisher}/{name}{f'-{self.quantisation}' if self.quantisation else ''}"
        return f"{self.publisher}/{name}-GGUF{f':{self.quantisation}' if self.quantisation else ''}"

    @property
    def generates(self) -> bool:
        """Whether it is a language model, and not one of embeddings."""
        return self.kind not in _OTHER_KINDS

    @property
    def engine(self) -> str | None:
        """The engine that LM Studio runs it on."""
        return _ENGINES.get(self.format)

    @property
    def loaded_context(self) -> int | None:
        """Tokens of the context that it was loaded with."""
        return whole(self.config.get("context_length")) or None

    @property
    def options(self) -> dict[str, str]:
        """The options of llama.cpp that its settings mean: requests in parallel share one cache."""
        if self.engine != "llama.cpp":
            return {}
        config, found = self.config, {}
        if batch := whole(config.get("eval_batch_size")):
            found["n_batch"] = str(batch)
        if isinstance(flash := config.get("flash_attention"), bool):
            found["flash_attn"] = "on" if flash else "off"
        if config.get("offload_kv_cache_to_gpu") is False:
            found["no_kv_offload"] = "on"
        parallel = whole(config.get("parallel")) or 1
        if self.loaded_context and parallel > 1:
            found |= {"n_ctx": str(self.loaded_context), "n_parallel": str(parallel), "kv_unified": "on"}
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What its settings say that changes no memory."""
        experts = whole(self.config.get("num_experts"))
        said = f"LM Studio uses {experts} experts a token of this model, which changes no memory"
        return (said,) if experts else ()


def newer_list(reply: object) -> list[Listed] | None:
    """Return the models of ``/api/v1/models``; ``None`` where the reply is no list."""
    return _models(reply, "models", _newer)


def older_list(reply: object) -> list[Listed] | None:
    """Return the models of ``/api/v0/models``; ``None`` where the reply is no list."""
    return _models(reply, "data", _older)


def named(listed: list[Listed], ref: str) -> Listed | None:
    """Return the model of a list that ``ref`` names, by its key or one of its variants."""
    name, _, variant = ref.lower().partition("@")
    for model in listed:
        known = {model.key.lower(), *(key.lower() for key in model.variants)}
        if ref.lower() in known:
            return model
        if name in known and variant in {"", model.quantisation.lower()}:
            return model
    return None


def _models(reply: object, key: str, read: Callable[[Mapping[str, Any]], Listed]) -> list[Listed] | None:
    """Older servers answer 200 with an error to paths that they do not know."""
    found = mapping(reply).get(key)
    if not isinstance(found, list):
        return None
    return [model for row in rows(found) if (model := read(row)).key]


def _newer(row: Mapping[str, Any]) -> Listed:
    instances, variants = rows(row.get("loaded_instances")), row.get("variants")
    return Listed(
        key=_name(row.get("key")), kind=_name(row.get("type")), publisher=_name(row.get("publisher")),
        format=_name(row.get("format")), architecture=_name(row.get("architecture")),
        quantisation=_name(mapping(row.get("quantization")).get("name")),
        parameters=_name(row.get("params_string")), size=whole(row.get("size_bytes")),
        context=whole(row.get("max_context_length")),
        variants=tuple(_name(each) for each in variants) if isinstance(variants, list) else (),
        loaded=bool(instances), config=mapping(instances[0].get("config")) if instances else {},
    )  # fmt: skip


def _older(row: Mapping[str, Any]) -> Listed:
    loaded, context = row.get("state") == "loaded", whole(row.get("loaded_context_length"))
    return Listed(
        key=_name(row.get("id")), kind=_name(row.get("type")), publisher=_name(row.get("publisher")),
        format=_name(row.get("compatibility_type")), architecture=_name(row.get("arch")),
        quantisation=_name(row.get("quantization")), context=whole(row.get("max_context_length")),
        loaded=loaded, config={"context_length": context} if loaded and context else {},
    )  # fmt: skip


def _name(value: object) -> str:
    return text(value)[:LONGEST_NAME]
