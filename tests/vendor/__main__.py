"""``python -m vendor``: functions of the vendor's tile library on the emulator, against numpy.

Prints a table of every function; the exit status is 1 where one disagrees without an explanation.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vendor import bitcode
from vendor.check import check, summary


def main() -> int:
    try:
        functions = check(Path("build/vendor").resolve())
    except bitcode.Missing as missing:
        print(missing)
        return 1
    for function in functions:
        print(function.row())
    print(summary(functions))
    return int(any(function.disagreements for function in functions))


if __name__ == "__main__":
    sys.exit(main())
