"""What a command can fail with beside the client's own errors."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot run; the text says what to do."""
