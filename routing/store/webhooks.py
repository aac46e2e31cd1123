"""What the store keeps for webhooks: how far the call log was read, the posts that wait, and those given up.

Of all nodes that send them, one reads each entry of the log and one sends each post: both are single steps in the
store. A post that is claimed comes back when its claim ends, so that none is lost with the process that had it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from pydantic import ValidationError

from routing.dialog import Record
from routing.store.log import TRANSFER, Logged, Row
from routing.transfer_record import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEPT = 7 * 86400
"""Seconds that all of it lives after nobody looks at it any more."""
DEAD_LENGTH = 1000
"""Most posts given up that are kept; beyond it the oldest are dropped."""
BEGINNING = "0-0"
"""The position before the first entry of the log."""


class Post(Record):
    """An event for one receiver; times are seconds since the epoch."""

    id: str
    url: str
    event: str
    event_id: str
    """The same for all receivers and all attempts."""
    body: str
    queued_at: float
    attempts: int = 0
    tried_at: float | None = None
    error: str = ""
    """Why the last attempt failed."""


class Read(NamedTuple):
    """Entries of the call log, oldest first, and the position after them."""

    position: str
    entries: list[Logged]


class PostCount(NamedTuple):
    """How many posts wait to be sent, first or again, and how many were given up."""

    waiting: int
    dead: int


class WebhookStore(Protocol):
    """The part of the store that is about webhooks; all calls raise StoreUnavailable when Redis is away."""

    def webhook_position(self) -> str:
        """Tell up to where the call log was read; the first time that is its end."""
        ...

    def log_after(self, after: str, count: int) -> Read:
        """Read the call log from a position on."""
        ...

    def queue_posts(self, after: str, position: str, posts: Sequence[Post]) -> bool:
        """Queue what the log had between two positions; False when another node has done so already."""
        ...

    def claim_posts(self, now: float, count: int, lease: float) -> list[Post]:
        """Take posts that are due; each comes back after `lease` seconds unless it is dealt with until then."""
        ...

    def drop_post(self, post_id: str) -> None:
        """Forget a post: it was sent, or nobody wants it any more."""
        ...

    def delay_post(self, post: Post, until: float) -> None:
        """Keep a post, as it is now, to be claimed again later."""
        ...

    def bury_post(self, post: Post, now: float) -> None:
        """Give a post up, and keep it to be looked at."""
        ...

    def revive_post(self, post: Post, now: float) -> bool:
        """Queue a post again that was given up; False when it is not there any more."""
        ...

    def waiting_posts(self, count: int) -> list[Post]:
        """Read the posts that are to be sent next."""
        ...

    def dead_posts(self) -> list[Post]:
        """Read the posts that were given up, newest first."""
        ...

    def count_posts(self) -> PostCount:
        """Count both."""
        ...


def read_posts(texts: Iterable[str | bytes | None]) -> list[Post]:
    """Read posts; one that is no longer there, or that another version wrote, is left out."""
    found = []
    for text in texts:
        try:
            found.append(Post.model_validate_json(text or ""))
        except ValidationError:
            continue
    return found


def read_transfers(rows: Iterable[Row]) -> list[Logged]:
    """Read rows of the call log, oldest first; what is no transfer, or cannot be read, is left out.

    A transfer that was logged twice is given once, as it was logged last.
    """
    found: dict[str, Logged] = {}
    for row in rows:
        if row.kind != TRANSFER:
            continue
        try:
            transfer = Transfer.model_validate_json(row.data, extra="ignore")
        except ValidationError:
            continue
        found[transfer.id] = Logged(row.position, row.call_id, transfer)
    return list(found.values())
