"""Settings of the memory service."""

from pydantic import Field, field_validator

from services.agent_settings import AgentSettings
from services.runtime.settings import check_address
from services.store.redis import check_redis_url, why_away


class MemorySettings(AgentSettings):
    """Settings of the memory service."""

    memory_listen: str = Field("127.0.0.1:50053", description="HOST:PORT")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis with the histories")
    redis_timeout: float = Field(2.0, gt=0, description="timeout in seconds of one Redis call")
    slots: int = Field(512, gt=0, description="cached memory states per agent")

    _address = field_validator("memory_listen")(check_address)
    _redis = field_validator("redis_url")(check_redis_url)

    def away(self) -> list[str]:
        """Redis, if it does not answer."""
        return [f"SHELM_REDIS_URL: {problem}" for problem in why_away(self.redis_url)]
