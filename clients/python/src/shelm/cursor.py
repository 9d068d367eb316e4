"""The position of one episode as known to this process; the server has the authoritative one (`Client.resume` reads it)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Cursor:
    """The next step of one episode; an unknown episode begins with step 0."""

    next_step: int = 0
    names_agent: bool = True
    """Whether step 0 must name the agent, because this client neither created nor resumed the episode."""

    def answered(self, step: int) -> None:
        """Updates the position after a reply to `step`, new or replayed; repeating an old step does not move the episode
        back.
        """
        self.next_step = max(self.next_step, step + 1)

    def resumed(self, committed_step: int | None) -> int:
        """Sets the position from the committed step, None before the first step; returns the next step."""
        self.next_step = 0 if committed_step is None else committed_step + 1
        self.names_agent = False
        return self.next_step
