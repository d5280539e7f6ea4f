"""`python -m qualityfm VERB ...`, which is what torchrun starts: `torchrun -m qualityfm pretrain ...`."""

from __future__ import annotations

import sys

from qualityfm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
