"""What Redis keeps for webhooks."""

# ruff: noqa: D102  # WebhookStore says what each does.

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.store import layout, scripts
from routing.store.log import row_of
from routing.store.webhooks import BEGINNING, KEPT, Post, PostCount, Read, WebhookStore, read_posts, read_transfers

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
            first = newest[0][0] if newest else BEGINNING
            new = ("SET", layout.WEBHOOK_POSITION, first, "NX", "EX", KEPT)
            known = self._run("webhook_position", new, ("GET", layout.WEBHOOK_POSITION))[1]
        position: str = known.decode()
        return position

    def log_after(self, after: str, count: int) -> Read:
        rows = self._run("log_after", ("XRANGE", layout.LOG, f"({after}", "+", "COUNT", count))[0]
        position = rows[-1][0].decode() if rows else after
        return Read(position, read_transfers(row_of(at, fields) for at, fields in rows))

    def queue_posts(self, after: str, position: str, posts: Sequence[Post]) -> bool:
        arguments = [part for post in posts for part in (post.id, repr(post.queued_at), post.model_dump_json())]
        keys = (layout.WEBHOOK_POSITION, layout.POSTS, layout.POSTS_WAITING)
        script: Command = ("EVALSHA", scripts.QUEUE_POSTS.sha, 3, *keys, after, position, *arguments)
        return bool(self._run("queue_posts", script)[0])

    def claim_posts(self, now: float, count: int, lease: float) -> list[Post]:
        return read_posts(self._run("claim_posts", _script(scripts.CLAIM_POSTS, repr(now), count, repr(lease)))[0])

    def drop_post(self, post_id: str) -> None:
        lists = [("ZREM", key, post_id) for key in (layout.POSTS_WAITING, layout.POSTS_DEAD)]
        self._run("drop_post", *lists, ("HDEL", layout.POSTS, post_id))

    def delay_post(self, post: Post, until: float) -> None:
        self._run("delay_post", _script(scripts.DELAY_POST, post.id, post.model_dump_json(), repr(until)))

    def bury_post(self, post: Post, now: float) -> None:
        self._run("bury_post", _script(scripts.BURY_POST, post.id, post.model_dump_json(), repr(now)))

    def revive_post(self, post: Post, now: float) -> bool:
        script = _script(scripts.REVIVE_POST, post.id, post.model_dump_json(), repr(now))
        return bool(self._run("revive_post", script)[0])

    def waiting_posts(self, count: int) -> list[Post]:
        return self._posts("waiting_posts", ("ZRANGE", layout.POSTS_WAITING, 0, count - 1))

    def dead_posts(self) -> list[Post]:
        return self._posts("dead_posts", ("ZREVRANGE", layout.POSTS_DEAD, 0, -1))

    def count_posts(self) -> PostCount:
        return PostCount(*self._run("count_posts", ("ZCARD", layout.POSTS_WAITING), ("ZCARD", layout.POSTS_DEAD)))

    def _posts(self, operation: str, ids: Command) -> list[Post]:
        found = self._run(operation, ids)[0]
        return read_posts(self._run(operation, ("HMGET", layout.POSTS, *found))[0]) if found else []


def _script(script: scripts.Script, *arguments: str | int) -> Command:
    return ("EVALSHA", script.sha, 3, layout.POSTS, layout.POSTS_WAITING, layout.POSTS_DEAD, *arguments)
