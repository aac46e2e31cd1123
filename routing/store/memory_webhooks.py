"""What the store in memory keeps for webhooks."""

# ruff: noqa: D102  # WebhookStore says what each does.

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.store.webhooks import BEGINNING, DEAD_LENGTH, Post, PostCount, Read, WebhookStore, read_transfers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.store.log import Row


class MemoryWebhooks(WebhookStore):
    """`WebhookStore` beside the call log."""

    rows: list[Row]

    def __init__(self) -> None:
        super().__init__()
        self._position: str | None = None
        self._posts: dict[str, Post] = {}
        self._waiting: dict[str, float] = {}
        self._dead: dict[str, float] = {}

    def webhook_position(self) -> str:
        if self._position is None:
            self._position = self.rows[-1].position if self.rows else BEGINNING
        return self._position

    def log_after(self, after: str, count: int) -> Read:
        rows = [row for row in self.rows if int(row.position.partition("-")[0]) > int(after.partition("-")[0])][:count]
        return Read(rows[-1].position if rows else after, read_transfers(rows))

    def queue_posts(self, after: str, position: str, posts: Sequence[Post]) -> bool:
        if self._position != after:
            return False
        self._position = position
        for post in posts:
            if post.id not in self._posts:
                self._posts[post.id] = post
                self._waiting[post.id] = post.queued_at
        return True

    def claim_posts(self, now: float, count: int, lease: float) -> list[Post]:
        due = [post_id for post_id in _by_time(self._waiting) if self._waiting[post_id] <= now][:count]
        self._waiting.update(dict.fromkeys(due, now + lease))
        return [self._posts[post_id] for post_id in due]

    def drop_post(self, post_id: str) -> None:
        for times in (self._waiting, self._dead):
            times.pop(post_id, None)
        self._posts.pop(post_id, None)

    def delay_post(self, post: Post, until: float) -> None:
        if post.id in self._waiting:
            self._posts[post.id] = post
            self._waiting[post.id] = until

    def bury_post(self, post: Post, now: float) -> None:
        if self._waiting.pop(post.id, None) is not None:
            self._posts[post.id] = post
            self._dead[post.id] = now
            for post_id in _by_time(self._dead)[:-DEAD_LENGTH]:
                del self._dead[post_id], self._posts[post_id]

    def revive_post(self, post: Post, now: float) -> bool:
        if self._dead.pop(post.id, None) is None:
            return False
        self._posts[post.id] = post
        self._waiting[post.id] = now
        return True

    def waiting_posts(self, count: int) -> list[Post]:
        return [self._posts[post_id] for post_id in _by_time(self._waiting)[:count]]

    def dead_posts(self) -> list[Post]:
        return [self._posts[post_id] for post_id in reversed(_by_time(self._dead))]

    def count_posts(self) -> PostCount:
        return PostCount(len(self._waiting), len(self._dead))


def _by_time(times: dict[str, float]) -> list[str]:
    return sorted(times, key=lambda post_id: (times[post_id], post_id))
