"""A sidecar: ``python -P -m hwledger.runner.sidecar MODULE:CLASS``."""

import sys

from hwledger.runner.sidecar.child import main

sys.exit(main(sys.argv[1:]))
