"""What is said of requests of a test: who sends them, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sipmessage

    from cli.trial.sound import Heard
    from routing.secrets import Secret

HUNG_UP = "it hung up by itself"


class NoReply(Exception):
    """No reply at all came in time."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls whom, and how it logs in where it is asked; `trouble` says why there is no secret that can be used."""

    sender: str
    user: str = ""
    secret: Secret | None = None
    trouble: str = ""
    agent: str = "handoff"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Attempt:
    """What became of a request: its last reply, whether it rang, how it logged in, and the sound of the answer."""

    status: int
    reason: str
    seconds: float
    """From the request to its first reply."""
    message: sipmessage.Message
    rang: bool = False
    asked: bool = False
    """Whether a login was asked for."""
    refused: str = ""
    """Why there was no login, or what it was refused with."""
    codec: str = ""
    heard: Heard | None = None
    ended: str = ""
    """Where the call could not be ended as it should: why."""

    @property
    def answered(self) -> bool:
        """Whether the far end took the call."""
        return 200 <= self.status < 300

    @property
    def good(self) -> bool:
        """Whether a call would get through: it rang, or was answered."""
        return self.rang or self.answered

    def words(self, name: str) -> set[str] | None:
        """Give the words of a header field such as Allow, in lower case; None where it is not there."""
        values = self.message.headers.getlist(name)
        return {word.strip().lower() for value in values for word in value.split(",")} if values else None
