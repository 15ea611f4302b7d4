"""`python -m gpuqueue_spawner.cli` is `gpuqueue`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
