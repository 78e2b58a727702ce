"""Running inference engines: which engine answers at an address, and what it runs."""

from hwledger.library.serving.address import is_server
from hwledger.library.serving.detect import probe
from hwledger.library.serving.reference import model_reference

__all__ = ["is_server", "model_reference", "probe"]
