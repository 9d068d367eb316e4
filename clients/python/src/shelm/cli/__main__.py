"""Runs the command: python -m shelm.cli."""

from __future__ import annotations

import sys

from shelm.cli import main

sys.exit(main())
