"""Settings of the memory service."""

from pydantic import Field, field_validator

from services.agent_settings import AgentSettings
from services.runtime.settings import check_address
from services.store.settings import RedisSettings


class MemorySettings(AgentSettings, RedisSettings):
    """Settings of the memory service."""

    memory_listen: str = Field("127.0.0.1:50053", description="HOST:PORT")
    slots: int = Field(512, gt=0, description="cached memory states per agent")

    _address = field_validator("memory_listen")(check_address)
