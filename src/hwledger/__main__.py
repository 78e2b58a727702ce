"""``python -m hwledger``."""

from hwledger.cli import main

main()
