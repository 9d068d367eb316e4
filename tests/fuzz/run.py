"""Fuzzes one surface: `python tests/fuzz/run.py SURFACE [--inputs N] [--seed S]`, SURFACE a module of this folder.

A module has `inputs(seed, n)`, which yields inputs, and `check(input)`, which says whether an input was taken and raises
what must not happen. An input that fails is written to corpus/SURFACE-SEED-NUMBER and the run ends with 1. The corpus is
tried first.
"""

import argparse
import importlib
import itertools
import sys
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz one surface.")
    parser.add_argument("surface")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    surface = importlib.import_module(options.surface)
    kept = [path.read_bytes() for path in sorted(CORPUS.glob(f"{options.surface}-*"))]
    taken, slowest, failed, total, begin = 0, 0.0, 0, 0, time.perf_counter()
    for one in itertools.chain(kept, surface.inputs(options.seed, options.inputs)):
        before, total = time.perf_counter(), total + 1
        try:
            taken += surface.check(one)
        except Exception as error:
            failed += 1
            (CORPUS / f"{options.surface}-{options.seed}-{total}").write_bytes(one)
            print(f"input {total}: {type(error).__name__}: {error}")
        slowest = max(slowest, time.perf_counter() - before)
    seconds = time.perf_counter() - begin
    print(
        f"{options.surface}: {total} inputs, {taken} taken, {failed} failed, {seconds:.0f} s, most {slowest * 1000:.1f} ms"
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
