"""What the store in memory keeps for webhooks."""

# ruff: noqa: D102  # WebhookStore says what each does.

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.store.webhooks import BEGINNING, DEAD_LENGTH, Post, PostCount, Read, WebhookStore, read_news

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.store.log import Row


class MemoryWebhooks(WebhookStore):
    """`WebhookStore` beside the call log."""

    rows: list[Row]

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[Row] = []
        self._position: str | None = None
        self._posts: dict[str, Post] = {}
        self._lanes: dict[str, list[str]] = {}
        self._waiting: dict[str, float] = {}
        """When the first post of each lane is due."""
        self._dead: dict[str, float] = {}

    def webhook_position(self) -> str:
        if self._position is None:
            self._position = f"{self.rows[-1].position if self.rows else BEGINNING} {BEGINNING}"
        return self._position

    def news_after(self, after: str, count: int) -> Read:
        places = after.split(" ")
        logged, stages = (_after(rows, at)[:count] for rows, at in zip((self.rows, self.stages), places, strict=True))
        taken, news = read_news(logged, stages, count)
        ends = (rows[-1].position if rows else at for rows, at in zip((logged[:taken], stages), places, strict=True))
        return Read(" ".join(ends), news)

    def queue_posts(self, after: str, position: str, posts: Sequence[Post]) -> bool:
        if self._position != after:
            return False
        self._position = position
        self.stages = _after(self.stages, position.split(" ")[1])
        for post in posts:
            if post.id not in self._posts:
                self._line_up(post, post.queued_at)
        return True

    def claim_posts(self, now: float, count: int, lease: float) -> list[Post]:
        due = [lane for lane in _by_time(self._waiting) if self._waiting[lane] <= now][:count]
        found = []
        for lane in due:
            if post := self._posts.get(self._lanes[lane][0]):
                self._waiting[lane] = now + lease
                found.append(post)
            else:
                self._advance(lane, now)
        return found

    def drop_post(self, post: Post, now: float) -> None:
        if self._is_first(post):
            self._advance(post.lane, now)
        self._dead.pop(post.id, None)
        self._posts.pop(post.id, None)

    def delay_post(self, post: Post, until: float) -> None:
        if self._is_first(post):
            self._posts[post.id] = post
            self._waiting[post.lane] = until

    def part_post(self, post: Post, until: float, now: float) -> None:
        if self._is_first(post):
            self._advance(post.lane, now)
            self._line_up(post.model_copy(update={"lane": post.id}), until)

    def bury_post(self, post: Post, now: float) -> None:
        if self._is_first(post):
            self._advance(post.lane, now)
            self._posts[post.id] = post
            self._dead[post.id] = now
            for post_id in _by_time(self._dead)[:-DEAD_LENGTH]:
                del self._dead[post_id], self._posts[post_id]

    def revive_post(self, post: Post, now: float) -> bool:
        if self._dead.pop(post.id, None) is None:
            return False
        self._line_up(post, now)
        return True

    def waiting_posts(self, count: int) -> list[Post]:
        lanes = _by_time(self._waiting)[:count]
        ids = [post_id for lane in lanes for post_id in self._lanes[lane]]
        return [self._posts[post_id] for post_id in ids if post_id in self._posts][:count]

    def dead_posts(self) -> list[Post]:
        return [self._posts[post_id] for post_id in reversed(_by_time(self._dead))]

    def count_posts(self) -> PostCount:
        return PostCount(len(self._posts) - len(self._dead), len(self._dead))

    def _is_first(self, post: Post) -> bool:
        return self._lanes.get(post.lane, [""])[0] == post.id

    def _line_up(self, post: Post, time: float) -> None:
        self._posts[post.id] = post
        lane = self._lanes.setdefault(post.lane, [])
        if not lane:
            self._waiting[post.lane] = time
        lane.append(post.id)

    def _advance(self, lane: str, time: float) -> None:
        del self._lanes[lane][0]
        self._waiting[lane] = time
        if not self._lanes[lane]:
            del self._lanes[lane], self._waiting[lane]


def _after(rows: Sequence[Row], position: str) -> list[Row]:
    return [row for row in rows if int(row.position.partition("-")[0]) > int(position.partition("-")[0])]


def _by_time(times: dict[str, float]) -> list[str]:
    return sorted(times, key=lambda post_id: (times[post_id], post_id))
