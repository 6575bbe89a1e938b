"""The command line: `python -m neumann_tril demo|doctor|bench|profile|report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..backends import BackendError
from . import bench, collect, demo, doctor, profile
from .report import json_file

__all__ = ["main"]

COMMANDS = {"demo": demo, "doctor": doctor, "bench": bench, "profile": profile, "report": collect}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m neumann_tril",
        description="Inverses of the chunk matrices of Gated DeltaNet, from matrix products.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.add_argument(
            "--json", type=json_file, metavar="FILE", help="also write all figures to FILE"
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 1 if it could not be done, 2 for bad arguments."""
    options = _parser().parse_args(arguments)
    try:
        status: int = COMMANDS[options.command].run(options)
    except (BackendError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status
