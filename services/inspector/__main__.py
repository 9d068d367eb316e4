"""Starts the inspector: `python -m services.inspector`.

It starts even if the public API cannot be reached. On SIGTERM or SIGINT it closes the streams of live pages (which reconnect
automatically) and exits with status 0. Failure policy: an invalid setting or an address in use ends the start with one line.
"""

import asyncio
import logging
import signal
import socket
import sys

import uvicorn

from services.inspector.app import create_app
from services.inspector.settings import InspectorSettings
from services.runtime.logs import configure_logging
from services.runtime.settings import describe, load_settings

log = logging.getLogger(__name__)


async def main() -> int:
    """Serves until stopped."""
    settings = load_settings(InspectorSettings)
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
    sys.exit(asyncio.run(main()))
