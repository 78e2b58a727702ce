"""Where a model's files are, in parts, so that an engine's own way to name it can be written."""

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Kinds of places that models are read from."""

    HUB = "hub"  # a repository of the Hugging Face hub
    FILE = "file"  # a GGUF file on this machine, split ones by their first file
    FOLDER = "folder"  # a folder of config and weights on this machine
    WEB = "web"  # a file at a plain web address
    OLLAMA = "ollama"  # a model of Ollama's library or of its store


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the files of one model are.

    Attributes:
        place: what kind of place it is.
        name: ``org/repo``, an absolute path, an address or a full name of Ollama's.
        path: a file or folder within the repository; of a model of Ollama's, its blob on this machine.
        withheld: parts of the address that may be a secret (user, password, what follows ``?``) are left out.
    """

    place: Place
    name: str
    path: str = ""
    withheld: bool = False
