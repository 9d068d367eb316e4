"""`--quick` of the commands whose figures are on a page of docs/results: the same work on little, to see that it works.

Contract: a quick run writes what a full one writes, in the same form, from a few starts, seeds or steps; its figures mean
nothing. What is given on the command line counts before what `--quick` sets. Failure policy: argparse's.
"""

import argparse
from collections.abc import Sequence
from typing import Any


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None, **small: Any) -> argparse.Namespace:
    """Parses the arguments with the option `--quick` added, which makes `small` the defaults."""
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**small)
    return parser.parse_args(arguments)
