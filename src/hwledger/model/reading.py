"""What was read to learn of a model: how much, from where, and how long ago."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a model's headers.

    Attributes:
        origin: where the files are, for people (``huggingface.co/Qwen/Qwen3-0.6B@c1899de``).
        files: files that were read.
        bytes_read: bytes of headers and configs that were read; of a server, all that it sent.
        requests: requests that were made for them; 0 for local files.
        kept_s: seconds since this was read, where it comes from the cache; ``None``: read now.
    """

    origin: str
    files: int = 0
    bytes_read: int = 0
    requests: int = 0
    kept_s: float | None = None
