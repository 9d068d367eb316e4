"""Names of episodes: as a caller writes them, and in full, as they are stored.

Contract: the full name of a tenant's episode is EPISODE@TENANT, and of one without tenant EPISODE. A caller names its own
tenant's episodes by EPISODE alone and can name no others; an admin names all of them in full. All code behind the service of
the public API has full names, so that nothing there (keys, files, slots, caches) can mix tenants up.

Failure policy: INVALID_ARGUMENT names the field, what was expected and what was given.
"""

import re

from services.runtime.auth import caller
from services.runtime.errors import invalid
from services.runtime.tokens import AT, OWN, TENANT

EPISODE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
FULL_NAME = re.compile(rf"{EPISODE_ID.pattern}(?:{AT}{OWN}?{TENANT.pattern})?")


def full_name(episode_id: str, field: str = "episode_id") -> str:
    """What a request names, in full. 1..128 characters of [A-Za-z0-9._:-]; for an admin, @TENANT may follow."""
    token = caller()
    if not (FULL_NAME if token.admin else EPISODE_ID).fullmatch(episode_id):
        shown = repr(episode_id if len(episode_id) <= 140 else episode_id[:140] + "...")
        raise invalid(field, f"expected 1..128 characters of [A-Za-z0-9._:-], got {len(episode_id)}: {shown}")
    return episode_id + token.end


def caller_name(name: str) -> str:
    """A full name as the caller writes it."""
    return name.removesuffix(caller().end)


def tenant_of(name: str) -> str:
    """The tenant in a full name; empty where there is none."""
    return split_name(name)[1]


def split_name(name: str) -> tuple[str, str]:
    """A full name's episode, as its tenant writes it, and its tenant."""
    episode, _, tenant = name.partition(AT)
    return episode, tenant
