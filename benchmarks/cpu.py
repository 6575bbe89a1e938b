"""The table of times on this CPU; the same as `python -m neumann_tril bench`, options included.

python benchmarks/cpu.py [--json FILE] [--chunk-sizes C ...] [--matrices N ...] [--threads K ...]
"""

import sys

from neumann_tril.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
