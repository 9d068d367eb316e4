"""Settings of the retrieval service."""

from pydantic import Field, field_validator

from services.agent_settings import AgentSettings
from services.runtime.settings import check_address


class RetrievalSettings(AgentSettings):
    """Settings of the retrieval service."""

    retrieval_listen: str = Field("127.0.0.1:50052", description="HOST:PORT")
    cache_frames: int = Field(4096, ge=0, description="frames per agent whose words are cached")

    _address = field_validator("retrieval_listen")(check_address)
