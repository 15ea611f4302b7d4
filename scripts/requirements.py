"""Print what setup.cfg asks pip for: the runtime requirements and those of the extras named as arguments, sorted.

Needs nothing but the standard library: it runs before anything is installed.
"""

from __future__ import annotations

import configparser
import sys
from pathlib import Path


def requirements(setup_cfg: Path, extras: list[str]) -> list[str]:
    """The requirement lines, each once."""
    parser = configparser.ConfigParser()
    parser.read(setup_cfg, encoding="utf-8")
    wanted = [parser["options"]["install_requires"], *(parser["options.extras_require"][name] for name in extras)]
    return sorted({line.strip() for block in wanted for line in block.splitlines() if line.strip()})


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]), sys.argv[2:])))
