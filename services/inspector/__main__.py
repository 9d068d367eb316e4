"""Starts the inspector: `python -m services.inspector`.

It starts even if the public API cannot be reached. On SIGTERM or SIGINT it closes the streams of live pages (which reconnect
automatically) and exits with status 0. `--check` ends after the settings are checked, `--help` lists them. Failure policy:
an invalid setting or an address in use ends the start with one line.
"""

import argparse
import asyncio
import logging
import signal
import socket
import sys

from services.inspector.settings import InspectorSettings
from services.runtime.checks import CannotStart
from services.runtime.logs import configure_logging
from services.runtime.settings import describe, help_text, load_settings
from services.runtime.tls import server_context

log = logging.getLogger(__name__)


def start() -> int:
    """Serves until stopped, or only checks the settings."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m services.inspector", formatter_class=form, epilog=help_text(InspectorSettings)
    )
    parser.add_argument("--check", nargs="?", choices=("all", "settings"), const="all", help="check the settings, and end")
    check = parser.parse_args().check
    settings = load_settings(InspectorSettings)
    try:
        settings.check()
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if check else asyncio.run(main(settings))


async def main(settings: InspectorSettings) -> int:
    """Serves until stopped."""
    import uvicorn  # only now, because a wrong setting should answer at once

    from services.inspector.app import create_app

    configure_logging("inspector", settings.log_level, settings.log_format)
    try:
        listening = _listen(settings.inspector_listen)
    except OSError as error:
        print(f"SHELM_INSPECTOR_LISTEN={settings.inspector_listen}: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(
            number, lambda *_: None
        )  # uvicorn has its own handlers, and raises the signal again after it has stopped
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.stop_grace)),
        ssl_context_factory=(lambda *_: server_context(tls)) if (tls := settings.server_tls()) else None,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    port = listening.getsockname()[1]
    log.info("inspector serves on %s (port %d): %s", settings.inspector_listen, port, describe(settings))
    await uvicorn.Server(config).serve(sockets=[listening])
    log.info("inspector stops")
    return 0


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=1024)


if __name__ == "__main__":
    sys.exit(start())
