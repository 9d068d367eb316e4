"""Settings of the single process."""

from pydantic import Field

from services.policy.settings import PolicyServerSettings


class StandaloneSettings(PolicyServerSettings):
    """Settings of the single process."""

    cache_frames: int = Field(4096, ge=0, description="frames per agent whose words are cached")
    slots: int = Field(512, gt=0, description="cached memory states per agent")
