"""Settings about agents, shared by the three services."""

from pathlib import Path

from pydantic import Field

from services.domain.bundle import AgentBundle, InvalidBundle, load_bundle
from services.runtime.settings import ServerSettings

DOMAIN = "shelm"  # of google.rpc.ErrorInfo


class AgentSettings(ServerSettings):
    """Every service loads the same bundles."""

    agents: str = Field(
        "models/minigrid-memory", description="folders of agent bundles, separated by commas; the first is the default"
    )

    def load_bundles(self) -> list[AgentBundle]:
        """Verified bundles, the default first; InvalidBundle names the folder and the file at fault."""
        bundles = [load_bundle(Path(folder.strip())) for folder in self.agents.split(",")]
        digests = [bundle.digest for bundle in bundles]
        if twice := {d for d in digests if digests.count(d) > 1}:
            raise InvalidBundle(f"SHELM_AGENTS names the bundle {sorted(twice)[0]} twice")
        return bundles
