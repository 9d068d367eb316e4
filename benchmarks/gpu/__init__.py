"""One GPU, in one command: `python -m benchmarks.gpu --json FILE`; below eight minutes on an H100."""
