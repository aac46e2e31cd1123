"""What the store keeps for webhooks: what is news of transfers, the posts that wait, and those given up.

News are the stages of transfers under way, which are kept only until they are read, and the entries of the call log.
Of all nodes that send them, one reads each and one sends each post: both are single steps in the store. A post that is
claimed comes back when its claim ends, so that none is lost with the process that had it. Of the posts of one *lane*
only the first is ever claimed: the next one when that was sent, was given up, or stands aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from pydantic import ValidationError

from routing.dialog import Record
from routing.outcomes import Outcome
from routing.stages import Reached, Stage
from routing.store.log import TRANSFER
from routing.transfer_record import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from routing.store.log import Row

KEPT = 7 * 86400
"""Seconds that all of it lives after nobody looks at it any more."""
DEAD_LENGTH = 1000
"""Most posts given up that are kept; beyond it the oldest are dropped."""
_STAGES = frozenset(Stage)
BEGINNING = "0-0"
"""The position before the first row of a stream."""


class Post(Record):
    """An event for one receiver; times are seconds since the epoch."""

    id: str
    url: str
    lane: str
    """Posts of one lane are sent one after the other."""
    event: str
    event_id: str
    """The same for all receivers and all attempts."""
    body: str
    queued_at: float
    attempts: int = 0
    tried_at: float | None = None
    error: str = ""
    """Why the last attempt failed."""


class News(NamedTuple):
    """Something that has happened to a transfer, which is as it was then."""

    call_id: str
    event: str
    """What: a stage, or "connected" or "failed"."""
    transfer: Transfer

    @property
    def id(self) -> str:
        """Name it: where several endpoints ring, each time is an event of its own."""
        transfer = self.transfer
        return f"{transfer.id}-{self.event}-{len(transfer.attempts)}" if self.event in _STAGES else transfer.id

    @property
    def at(self) -> float:
        """When it happened."""
        transfer = self.transfer
        if self.event in _STAGES:
            return Reached(Stage(self.event), transfer).at
        return transfer.ended_at or transfer.requested_at


class Read(NamedTuple):
    """What is news, that of each transfer in the order in which it happened, and the position after it."""

    position: str
    news: list[News]


class PostCount(NamedTuple):
    """How many posts wait to be sent, first or again, and how many were given up."""

    waiting: int
    dead: int


class WebhookStore(Protocol):
    """The part of the store that is about webhooks; all calls raise StoreUnavailable when Redis is away."""

    def webhook_position(self) -> str:
        """Tell up to where news were read; the first time that is the end of the call log."""
        ...

    def news_after(self, after: str, count: int) -> Read:
        """Read news from a position on, so many stages and so many entries of the call log at most."""
        ...

    def queue_posts(self, after: str, position: str, posts: Sequence[Post]) -> bool:
        """Queue what was news between two positions; False when another node has done so already."""
        ...

    def claim_posts(self, now: float, count: int, lease: float) -> list[Post]:
        """Take posts that are due; each comes back after `lease` seconds unless it is dealt with until then."""
        ...

    def drop_post(self, post: Post, now: float) -> None:
        """Forget a post: it was sent, or nobody wants it any more."""
        ...

    def delay_post(self, post: Post, until: float) -> None:
        """Keep a post, as it is now, to be claimed again later; those of its lane wait for it."""
        ...

    def part_post(self, post: Post, until: float, now: float) -> None:
        """Keep a post like `delay_post`, and let those of its lane overtake it."""
        ...

    def bury_post(self, post: Post, now: float) -> None:
        """Give a post up, and keep it to be looked at."""
        ...

    def revive_post(self, post: Post, now: float) -> bool:
        """Queue a post again that was given up, behind those of its lane; False when it is not there any more."""
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


def read_news(logged: Sequence[Row], stages: Sequence[Row], full: int) -> tuple[int, list[News]]:
    """Read what was read: rows of the call log, and then the stages, each oldest first; what is unreadable is left out.

    A transfer that was logged twice is given once, as it was logged last. Gives also how many rows of the log count:
    none where the stages are `full`, since there may be more that come before the ends of those transfers.
    """
    logged = [] if len(stages) >= full else logged
    found: dict[str, News] = {}
    for row in (*stages, *(row for row in logged if row.kind == TRANSFER)):
        try:
            transfer = Transfer.model_validate_json(row.data, extra="ignore")
        except ValidationError:
            continue
        end = "connected" if transfer.outcome is Outcome.CONNECTED else "failed"
        news = News(row.call_id, end if row.kind == TRANSFER else row.kind, transfer)
        found[news.id] = news
    return len(logged), list(found.values())
