"""Starts the single process: `python -m services.standalone`."""

from services.runtime.start import start
from services.standalone.settings import StandaloneSettings

if __name__ == "__main__":
    start("standalone", StandaloneSettings)
