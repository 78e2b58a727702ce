"""Short outputs in the forms of real tools, drivers and engines, for where no recorded ones are there."""

from pathlib import Path
from typing import Final

from support.engine_outputs import SEEDS

TEXTS: Final = (*SEEDS, *(Path(__file__).parent / "texts.txt").read_text("utf-8").split("====\n"))
