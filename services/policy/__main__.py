"""Starts the policy service, which serves the public API: `python -m services.policy`."""

from services.policy.settings import PolicySettings
from services.runtime.start import start

if __name__ == "__main__":
    start("policy", PolicySettings)
