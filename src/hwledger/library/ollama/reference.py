"""How models are called in Ollama: ``qwen3:8b``, ``user/model:tag``, ``hf.co/org/repo:Q4_K_M``."""

import re
from dataclasses import dataclass
from typing import Final

HOST: Final = "registry.ollama.ai"
NAMESPACE: Final = "library"
TAG: Final = "latest"
LONGEST: Final = 400
_PART: Final = r"(?a:[A-Za-z0-9_][\w.-]{0,95})"
_HOST: Final = r"(?a:[A-Za-z0-9_][\w.-]{0,250}(:\d{1,5})?)"


@dataclass(frozen=True, slots=True)
class OllamaName:
    """One model by its full name, of which people write the end."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Folders and file of its manifest."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def key(self) -> tuple[str, ...]:
        """The name as Ollama compares it: case does not count."""
        return tuple(part.lower() for part in self.parts)

    def __str__(self) -> str:
        host = "" if self.host == HOST else f"{self.host}/"
        namespace = "" if not host and self.namespace == NAMESPACE else f"{self.namespace}/"
        return f"{host}{namespace}{self.model}:{self.tag}"


def parse_name(ref: str) -> OllamaName | None:
    """Return the model that ``ref`` names, with what is left out filled in; ``None``: no such name."""
    if len(ref) > LONGEST:
        return None
    *before, last = ref.removeprefix("https://").removeprefix("http://").split("/")
    model, colon, tag = last.partition(":")
    if len(before) > 2 or (colon and not tag):  # noqa: PLR2004 - host and namespace
        return None
    host = before[0] if len(before) == 2 else HOST  # noqa: PLR2004
    name = OllamaName(host, before[-1] if before else NAMESPACE, model, tag or TAG)
    sound = re.fullmatch(_HOST, host) and all(re.fullmatch(_PART, part) for part in name.parts[1:])
    return name if sound else None


def states_tag(ref: str) -> bool:
    """Whether ``ref`` names a tag, and one that is no port: nobody else writes names like that."""
    tag = ref.rpartition("/")[2].partition(":")[2]
    return bool(tag) and not tag.isdecimal()
