"""The version of client and server; both pyproject.toml files read it from here."""

from __future__ import annotations

__version__ = "0.1.0"
