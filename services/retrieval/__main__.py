"""Starts the retrieval service: `python -m services.retrieval`."""

from services.retrieval.settings import RetrievalSettings
from services.runtime.start import start

if __name__ == "__main__":
    start("retrieval", RetrievalSettings)
