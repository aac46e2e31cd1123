"""What Redis keeps for webhooks."""

# ruff: noqa: D102  # WebhookStore says what each does.

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.store import layout, scripts
from routing.store.log import row_of
from routing.store.webhooks import BEGINNING, KEPT, Post, PostCount, Read, WebhookStore, read_news, read_posts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.store.redis_endpoints import Run
    from routing.store.server import Command


class RedisWebhooks(WebhookStore):
    """`WebhookStore` with what sends requests."""

    _run: Run

    def webhook_position(self) -> str:
        known = self._run("webhook_position", ("GETEX", layout.WEBHOOK_POSITION, "EX", KEPT))[0]
        if known is None:
            newest = self._run("webhook_position", ("XREVRANGE", layout.LOG, "+", "-", "COUNT", 1))[0]
            first = f"{newest[0][0].decode() if newest else BEGINNING} {BEGINNING}"
            new = ("SET", layout.WEBHOOK_POSITION, first, "NX", "EX", KEPT)
            known = self._run("webhook_position", new, ("GET", layout.WEBHOOK_POSITION))[1]
        position: str = known.decode()
        return position

    def news_after(self, after: str, count: int) -> Read:
        places = after.split(" ")
        # In this order: whatever has ended by the first, all its stages are there for the second.
        streams = zip((layout.LOG, layout.STAGES), places, strict=True)
        replies = self._run("news_after", *(("XRANGE", key, f"({at}", "+", "COUNT", count) for key, at in streams))
        logged, stages = ([row_of(at, fields) for at, fields in reply] for reply in replies)
        taken, news = read_news(logged, stages, count)
        ends = (rows[-1].position if rows else at for rows, at in zip((logged[:taken], stages), places, strict=True))
        return Read(" ".join(ends), news)

    def queue_posts(self, after: str, position: str, posts: Sequence[Post]) -> bool:
        queued = ((post.id, post.lane, repr(post.queued_at), post.model_dump_json()) for post in posts)
        arguments = (after, position, position.split(" ")[1], *(part for parts in queued for part in parts))
        keys = (*_KEYS, layout.WEBHOOK_POSITION, layout.STAGES)
        script: Command = ("EVALSHA", scripts.QUEUE_POSTS.sha, len(keys), *keys, *arguments)
        return bool(self._run("queue_posts", script)[0])

    def claim_posts(self, now: float, count: int, lease: float) -> list[Post]:
        return read_posts(self._run("claim_posts", _script(scripts.CLAIM_POSTS, repr(now), count, repr(lease)))[0])

    def drop_post(self, post: Post, now: float) -> None:
        self._run("drop_post", _script(scripts.DROP_POST, post.id, post.lane, repr(now)))

    def delay_post(self, post: Post, until: float) -> None:
        self._run("delay_post", _script(scripts.DELAY_POST, post.id, post.lane, post.model_dump_json(), repr(until)))

    def part_post(self, post: Post, until: float, now: float) -> None:
        parted = post.model_copy(update={"lane": post.id}).model_dump_json()
        self._run("part_post", _script(scripts.PART_POST, post.id, post.lane, parted, repr(until), repr(now)))

    def bury_post(self, post: Post, now: float) -> None:
        self._run("bury_post", _script(scripts.BURY_POST, post.id, post.lane, post.model_dump_json(), repr(now)))

    def revive_post(self, post: Post, now: float) -> bool:
        script = _script(scripts.REVIVE_POST, post.id, post.lane, post.model_dump_json(), repr(now))
        return bool(self._run("revive_post", script)[0])

    def waiting_posts(self, count: int) -> list[Post]:
        lanes = self._run("waiting_posts", ("ZRANGE", layout.POSTS_WAITING, 0, count - 1))[0]
        queues = self._run("waiting_posts", ("HMGET", layout.LANES, *lanes))[0] if lanes else []
        ids = [post_id for queue in queues for post_id in (queue or b"").split()][:count]
        return self._read("waiting_posts", ids)

    def dead_posts(self) -> list[Post]:
        return self._read("dead_posts", self._run("dead_posts", ("ZREVRANGE", layout.POSTS_DEAD, 0, -1))[0])

    def count_posts(self) -> PostCount:
        posts, dead = self._run("count_posts", ("HLEN", layout.POSTS), ("ZCARD", layout.POSTS_DEAD))
        return PostCount(max(0, posts - dead), dead)

    def _read(self, operation: str, ids: Sequence[bytes]) -> list[Post]:
        return read_posts(self._run(operation, ("HMGET", layout.POSTS, *ids))[0]) if ids else []


_KEYS = (layout.POSTS, layout.POSTS_WAITING, layout.POSTS_DEAD, layout.LANES)


def _script(script: scripts.Script, *arguments: str | int) -> Command:
    return ("EVALSHA", script.sha, len(_KEYS), *_KEYS, *arguments)
