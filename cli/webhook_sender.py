"""Posting what becomes of transfers to whoever wants to know; the exporter does it.

It may run on all nodes: each event is queued by one of them, in the same step in which the position in what is news
moves on, and each post is claimed by one. Who dies with a post in hand loses only time: it is claimed again later, so
a receiver may in such a case get an event twice, with the same id. A receiver gets the events of one transfer in order,
unless it has refused one several times.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.webhook_posts import delay_after, make_posts, request_headers, shown_url
from cli.webhook_request import post as request
from routing.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from routing.secrets import Secret
    from routing.settings_model import Webhooks
    from routing.store import Post, Store

AT_ONCE = 16
"""Most posts under way at once."""
EVERY = 0.25
"""Seconds between two looks at what is news."""
REST = 1.0
"""Seconds until a Redis that is away is asked again."""
PAGE = 100
QUEUE_LENGTH = 10_000
"""Most posts that wait; beyond it no more are made, and the call log keeps the ends of transfers meanwhile."""
HOLDS = 5
"""How often a post is tried until those that come after it in its transfer may overtake it."""
SPARE = 30.0
"""Seconds beyond the timeout until a post of somebody who has not dealt with it is claimed again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A post and why it failed; empty: the receiver has it."""

    post: Post
    error: str


class Sender:
    """Queues what is news, and sends what is due; the store is for its thread alone."""

    def __init__(
        self,
        store: Store,
        settings: Webhooks,
        secret: Secret | None,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._secret = secret
        self._say = say
        self._clock = clock
        self._lease = settings.timeout + SPARE
        self._trust = ssl.create_default_context()
        self._under_way: set[Future[Sent]] = set()
        self._sent: list[Sent] = []
        self._failing: set[str] = set()
        self._away = False

    def run(self, stop: threading.Event) -> None:
        """Send until it is told to stop; what is under way then is waited for, as long as receivers may take."""
        with network() as loop:
            while not stop.is_set():
                if not self._turn(lambda post: asyncio.run_coroutine_threadsafe(self._send(post), loop)):
                    stop.wait(REST)
                elif self._under_way:
                    self._collect(EVERY)
                else:
                    stop.wait(EVERY)
            while self._under_way:
                self._collect(None)
            self._guarded(self._settle)

    def _turn(self, start: Callable[[Post], Future[Sent]]) -> bool:
        """Do what is to be done now; False while Redis is away."""
        return self._guarded(self._settle) and self._guarded(self._queue) and self._guarded(lambda: self._claim(start))

    def _guarded(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except StoreUnavailable as error:
            if not self._away:
                self._say(f"no webhooks are sent: {error.text}")
            self._away = True
            return False
        if self._away:
            self._say("webhooks are sent again")
        self._away = False
        return True

    def _queue(self) -> None:
        """Queue what is news and nobody has queued yet."""
        after = self._store.webhook_position()
        while (read := self._store.news_after(after, PAGE)).position != after:
            if self._store.count_posts().waiting > QUEUE_LENGTH:
                return
            now = self._clock()
            posts = [post for news in read.news for post in make_posts(news, self._settings, now)]
            if not self._store.queue_posts(after, read.position, posts):
                return  # another node is at it
            after = read.position

    def _claim(self, start: Callable[[Post], Future[Sent]]) -> None:
        if free := AT_ONCE - len(self._under_way):
            posts = self._store.claim_posts(self._clock(), free, self._lease)
            self._under_way.update(map(start, posts))

    def _collect(self, timeout: float | None) -> None:
        done, self._under_way = wait(self._under_way, timeout, FIRST_COMPLETED)
        self._sent += [future.result() for future in done]

    def _settle(self) -> None:
        """Write down what became of posts; what cannot be written while Redis is away is kept in mind."""
        while self._sent:
            sent = self._sent[0]
            self._write_down(sent)
            del self._sent[0]
            self._tell(sent)

    def _write_down(self, sent: Sent) -> None:
        now = self._clock()
        if not sent.error:
            self._store.drop_post(sent.post, now)
            return
        post = sent.post.model_copy(
            update={"attempts": sent.post.attempts + 1, "tried_at": now, "error": sent.error},
        )
        if post.url not in self._settings.urls or post.attempts >= self._settings.attempts:
            self._store.bury_post(post, now)
            self._say(f"event={post.event_id} is given up for {shown_url(post.url)}: {post.error}")
        elif post.attempts >= HOLDS:
            self._store.part_post(post, now + delay_after(post.attempts, self._settings), now)
        else:
            self._store.delay_post(post, now + delay_after(post.attempts, self._settings))

    def _tell(self, sent: Sent) -> None:
        """Say when a receiver begins to fail, and when it is well again."""
        url, fails = sent.post.url, bool(sent.error)
        if fails and url not in self._failing:
            self._say(f"webhooks to {shown_url(url)} fail: {sent.error}")
        elif not fails and url in self._failing:
            self._say(f"webhooks to {shown_url(url)} succeed again")
        self._failing = self._failing | {url} if fails else self._failing - {url}

    async def _send(self, post: Post) -> Sent:
        """Try once; in the thread of the network, so it touches nothing but the post."""
        if post.url not in self._settings.urls:
            return Sent(post, "this URL is not configured any more")
        headers = {"User-Agent": "handoff", **request_headers(post, self._secret, self._clock())}
        return Sent(post, await request(post.url, headers, post.body, self._settings.timeout, self._trust))


@contextmanager
def network() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread of its own: what Redis makes wait for does not count as a receiver's time."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(
        ThreadPoolExecutor(AT_ONCE)
    )  # hosts are looked up there: one without DNS holds up no other
    thread = threading.Thread(target=loop.run_forever, name="webhooks", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
