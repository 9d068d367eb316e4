"""The one place of the version: both pyproject.toml read it here, the client's and the server's."""

from __future__ import annotations

__version__ = "0.1.0"
