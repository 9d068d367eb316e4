"""Runs the command: python -m shelm.cli."""

import sys

from shelm.cli import main

sys.exit(main())
