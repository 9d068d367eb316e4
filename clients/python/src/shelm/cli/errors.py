"""Errors of the command line, in addition to the client's own."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot run; the message says what to do."""
