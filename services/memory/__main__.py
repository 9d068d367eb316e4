"""Starts the memory service: `python -m services.memory`."""

from services.memory.settings import MemorySettings
from services.runtime.start import start

if __name__ == "__main__":
    start("memory", MemorySettings)
