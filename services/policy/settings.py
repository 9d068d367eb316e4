"""Settings of the server of the public API, and of the policy service."""

from pydantic import Field, field_validator

from agent.history import history_reach
from services.agent_settings import AgentSettings
from services.policy.places import S3, check_place, check_usable
from services.runtime.checks import CannotStart, tokens_in
from services.runtime.settings import check_address
from services.runtime.tokens import INNER, TokensFile
from services.runtime.transport import BackendSettings
from services.store.settings import RedisSettings


class PolicyServerSettings(AgentSettings, RedisSettings):
    """Settings of the server of the public API."""

    listen: str = Field("127.0.0.1:50051", description="HOST:PORT of the public API")
    redis_replicas: int = Field(
        0, ge=0, description="replicas of Redis that must have a step before it is answered; 0: a failover can lose steps"
    )
    episode_ttl: float = Field(86_400.0, gt=0, description="seconds after its last step until an episode is forgotten")
    ended_ttl: float = Field(900.0, gt=0, description="seconds after its end until Redis forgets an episode")
    archive: str = Field("", description="folder or s3://BUCKET[/PREFIX] for episodes that have ended; empty: off")
    search_index: str = Field(
        "",
        description="folder for the index of the archive; empty: `index` in a folder, a passing copy of a bucket's",
    )
    admission_mark: float = Field(
        0.85, gt=0, le=1, description="share of Redis's memory limit from which no episode may begin; 1: none is refused"
    )
    retained_steps: int = Field(10_000, gt=0, description="steps kept per episode")
    max_in_flight: int = Field(1024, gt=0, description="Acts under way at once")
    max_batch_items: int = Field(256, gt=0, description="items of one ActBatch")
    policy_cache_frames: int = Field(4096, ge=0, description="frames per agent whose words and features policy keeps")
    record: str = Field("", description="folder or s3://BUCKET[/PREFIX] for the frames of committed steps; empty: off")
    record_retention: float = Field(0.0, ge=0, description="seconds that a recorded frame is kept; 0: for ever")
    record_bytes: int = Field(0, ge=0, description="bytes of recorded frames beyond which the oldest go; 0: no limit")
    max_watchers: int = Field(128, gt=0, description="WatchMemory calls at once; each holds one Redis connection")
    max_tenant_watchers: int = Field(64, gt=0, description="of these, those of one tenant, where there are tokens")
    max_episode_queue: int = Field(16, gt=0, description="Acts that may wait for one episode, beside the one under way")
    max_reads: int = Field(64, gt=0, description="calls of one reading method that a tenant may have under way")
    max_listings: int = Field(4, gt=0, description="the same of ListEpisodes, SearchEpisodes and CompareOutcomes, each")

    _address = field_validator("listen")(check_address)
    _place = field_validator("record", "archive")(check_place)

    def check(self) -> None:
        """Raises CannotStart if something that these settings name cannot be used, as far as a second tells."""
        super().check()
        self._check_retained()
        places = {"SHELM_RECORD": self.record, "SHELM_ARCHIVE": self.archive, "SHELM_SEARCH_INDEX": self.index_folder}
        for variable, place in places.items():
            check_usable(variable, place)

    @property
    def index_folder(self) -> str:
        """The folder for the index of the archive; empty for one that is deleted with the process."""
        if self.search_index or not self.archive or self.archive.startswith(S3):
            return self.search_index
        return f"{self.archive}/index"

    @property
    def shared_index(self) -> str:
        """The bucket in which replicas keep the index for each other; empty for an archive in a folder."""
        return self.archive if self.archive.startswith(S3) else ""

    def _check_retained(self) -> None:
        """Are the retained steps enough to rebuild the memory of each agent?"""
        for manifest in (bundle.manifest for bundle in self.load_bundles_with_words()):
            needed = -(-history_reach(manifest.memory.layers, manifest.memory.window) // manifest.retrieval.k)
            if self.retained_steps < needed:
                text = f"agent {manifest.name!r} needs at least {needed} to rebuild, got {self.retained_steps}"
                raise CannotStart(f"SHELM_RETAINED_STEPS: {text}")


class PolicySettings(PolicyServerSettings, BackendSettings):
    """Settings of the policy service."""

    retrieval_target: str = Field("127.0.0.1:50052", description="HOST:PORT[,HOST:PORT...] of the retrieval replicas")
    memory_target: str = Field("127.0.0.1:50053", description="HOST:PORT[,HOST:PORT...] of the memory replicas")

    def check(self) -> None:
        """Raises CannotStart if something that these settings name cannot be used, as far as a second tells."""
        super().check()
        self.backend_tokens()
        self.backend_tls()

    def backend_tokens(self) -> TokensFile:
        """Has the token that policy sends to retrieval and memory, the one with the scope `inner`."""
        tokens = tokens_in(self.tokens_file)
        if self.load_bundles_with_words() and tokens.now() and not tokens.secret(INNER):
            raise CannotStart(
                "SHELM_TOKENS_FILE: no token has the scope `inner`, which policy needs to call retrieval and memory; "
                "add a line `TOKEN policy inner` to the file of all three"
            )
        return tokens
