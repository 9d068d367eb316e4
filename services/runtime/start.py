"""The start of a service: first what can be checked in a second, then the models.

Contract: `start` reads the settings and checks all that they name - files, folders, addresses, agents - before anything of
torch is imported, which takes many seconds. Only then does it import the module that serves. `--check` ends after the
checks, with status 0 if the service could start now; `--help` lists the settings. What is away and may come later, such as
Redis, is named in one line of the log, and the service starts and waits for it.

Failure policy: what cannot work is one line on standard error that begins with the variable, and exit status 2, or 1 if
starting again later may succeed.
"""

import argparse
import asyncio
import importlib
import logging
import sys
from collections.abc import Awaitable
from typing import TypeVar

from services.runtime import traces
from services.runtime.checks import CannotListen, CannotStart
from services.runtime.logs import configure_logging
from services.runtime.settings import ServerSettings, help_text, load_settings

log = logging.getLogger(__name__)
Settings = TypeVar("Settings", bound=ServerSettings)


def start(name: str, kind: type[ServerSettings]) -> None:
    """The whole life of the service `services.NAME`, whose module `serve` has the coroutine function `main`."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(f"python -m services.{name}", formatter_class=form, epilog=help_text(kind))
    parser.add_argument("--check", action="store_true", help="check the settings and what they name, and end")
    if parser.parse_args().check:
        check(kind)
    else:
        settings = start_process(name, kind)
        run(importlib.import_module(f"services.{name}.serve").main(settings))


def check(kind: type[ServerSettings]) -> None:
    """Checks the settings and what they name. What is away counts as wrong here."""
    settings = load_settings(kind)
    try:
        settings.check()
    except CannotStart as error:
        _end(error)
    if away := settings.away():
        _end(CannotStart("\n".join(away)))


def start_process(name: str, kind: type[Settings]) -> Settings:
    """Reads and checks the settings of a service, then sets up its logs and traces, before anything else is created."""
    settings = load_settings(kind)
    try:
        settings.check()
    except CannotStart as error:
        _end(error)
    configure_logging(name, settings.log_level, settings.log_format)
    for problem in settings.away():
        log.warning("%s; the service starts and waits for it", problem)
    if settings.traces:
        traces.start_traces(settings.traces, service=name, ratio=settings.traces_ratio)
    return settings


def run(main: Awaitable[None]) -> None:
    """Runs a service's main coroutine. If it cannot start: one line, and exit status 2, or 1 if a retry may succeed."""

    async def guarded() -> None:
        await main

    try:
        asyncio.run(guarded())
    except (CannotStart, ValueError, FileNotFoundError) as error:
        _end(error)


def _end(error: Exception) -> None:
    print(error, file=sys.stderr)
    sys.exit(1 if isinstance(error, CannotListen) else 2)
