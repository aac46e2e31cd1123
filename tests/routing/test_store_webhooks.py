"""What every store promises of webhooks: nothing is lost, and each event is queued and claimed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from routing.outcomes import Outcome
from routing.stages import Reached, Stage
from routing.store import MemoryStore, Post, PostCount, RedisStore
from routing.store.layout import LANES, LOG, POSTS, POSTS_WAITING
from routing.store.log import Row
from routing.store.webhooks import DEAD_LENGTH, Read
from tests.routing.store_help import a_call, a_transfer

if TYPE_CHECKING:
    from routing.store import Store
    from tests.routing.store_help import RedisServer

ID = "00000000000000aa"


def a_post(post_id: str = "p1", **changes: Any) -> Post:
    values: dict[str, Any] = {
        "id": post_id,
        "url": "https://hooks.example.com/",
        "lane": f"lane of {post_id}",
        "event": "transfer.failed",
        "event_id": "t1",
        "body": "{}",
        "queued_at": 1000.0,
    }
    return Post(**(values | changes))


def log(store: Store, *names: str, **changes: Any) -> None:
    store.create(a_call())
    with store.lease(ID) as lease:
        lease.save(lease.call, finished=tuple(a_transfer(name, **changes) for name in names))


def reach(store: Store, *stages: Stage, name: str = "t1") -> None:
    store.create(a_call())
    with store.lease(ID) as lease:
        lease.save(lease.call, stages=tuple(Reached(stage, a_transfer(name, outcome=None)) for stage in stages))


def told(read: Read) -> list[tuple[str, str]]:
    return [(news.transfer.id, news.event) for news in read.news]


def queue(store: Store, *posts: Post) -> None:
    position = store.webhook_position()
    assert store.queue_posts(position, position, posts)


def test_the_log_is_read_from_the_moment_on_at_which_somebody_first_asked(store: Store) -> None:
    log(store, "t1")
    after = store.webhook_position()
    assert store.news_after(after, 10) == (after, [])
    log(store, "t2", "t3", ended_at=1020.0)
    assert store.webhook_position() == after
    first = store.news_after(after, 1)
    assert [(news.call_id, news.id, news.at) for news in first.news] == [(ID, "t2", 1020.0)]
    second = store.news_after(first.position, 10)
    assert told(second) == [("t3", "failed")]
    assert store.news_after(second.position, 10) == (second.position, [])


def test_the_stages_of_a_transfer_come_before_its_end(store: Store) -> None:
    after = store.webhook_position()
    reach(store, Stage.REQUESTED, Stage.RINGING)
    reach(store, Stage.ANSWERED)
    log(store, "t1", outcome=Outcome.CONNECTED)
    found = store.news_after(after, 10)
    assert told(found) == [("t1", event) for event in ("requested", "ringing", "answered", "connected")]
    assert [news.id for news in found.news] == ["t1-requested-0", "t1-ringing-0", "t1-answered-0", "t1"]
    assert [news.at for news in found.news] == [1010.0] * 4
    assert store.news_after(found.position, 10) == (found.position, [])


def test_an_end_is_not_read_while_there_may_be_stages_before_it(store: Store) -> None:
    after = store.webhook_position()
    reach(store, Stage.REQUESTED, Stage.RINGING, Stage.ANSWERED)
    log(store, "t1")
    first = store.news_after(after, 2)
    assert told(first) == [("t1", "requested"), ("t1", "ringing")]
    second = store.news_after(first.position, 2)
    assert told(second) == [("t1", "answered"), ("t1", "failed")]


def test_stages_that_have_been_read_are_forgotten(store: Store) -> None:
    after = store.webhook_position()
    reach(store, Stage.REQUESTED, Stage.RINGING)
    reach(store, Stage.ANSWERED)
    first = store.news_after(after, 2)
    assert store.queue_posts(after, first.position, [])
    assert told(store.news_after(after, 10))[-1] == ("t1", "answered")
    assert ("t1", "requested") not in told(store.news_after(after, 10))


def test_rows_that_are_no_transfers_or_cannot_be_read_are_passed_over() -> None:
    store = MemoryStore()
    after = store.webhook_position()
    rubbish = [Row(f"{number}-0", ID, kind, b"rubbish") for number, kind in ((1001, "heard"), (1002, "transfer"))]
    log(store, "t1")
    store.rows += rubbish
    found = store.news_after(after, 10)
    assert told(found) == [("t1", "failed")]
    assert found.position == "1002-0 0-0"


def test_an_empty_log_is_read_from_its_beginning(store: Store) -> None:
    after = store.webhook_position()
    log(store, "t1")
    assert told(store.news_after(after, 10)) == [("t1", "failed")]


def test_a_transfer_that_is_logged_twice_is_read_once_as_it_was_logged_last(store: Store) -> None:
    after = store.webhook_position()
    log(store, "t1", reason="first")
    log(store, "t1", reason="second")
    assert [news.transfer.reason for news in store.news_after(after, 10).news] == ["second"]


def test_what_is_no_transfer_is_passed_over(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    with RedisStore(redis_server.url, deadline=2.0) as store:
        after = store.webhook_position()
        redis_server.ask("XADD", LOG, "5-0", "call", ID, "transfer", "{}")
        assert store.news_after(after, 10) == ("5-0 0-0", [])


def test_of_two_that_read_the_same_one_queues_it(store: Store) -> None:
    after = store.webhook_position()
    assert store.queue_posts(after, "7-0 0-0", [a_post("p1"), a_post("p2")])
    assert not store.queue_posts(after, "7-0 0-0", [a_post("p3")])
    assert store.webhook_position() == "7-0 0-0"
    assert store.queue_posts("7-0 0-0", "8-0 0-0", [a_post("p1", event="another")])
    assert store.waiting_posts(10) == [a_post("p1"), a_post("p2")]
    assert store.count_posts() == PostCount(waiting=2, dead=0)


def test_a_post_is_claimed_once_and_comes_back_when_nobody_deals_with_it(store: Store) -> None:
    queue(store, a_post("p1"), a_post("p2", queued_at=1001.0))
    assert store.claim_posts(999.0, 5, 30.0) == []
    assert store.claim_posts(1001.0, 1, 30.0) == [a_post("p1")]
    assert [post.id for post in store.claim_posts(1001.0, 5, 30.0)] == ["p2"]
    assert store.claim_posts(1030.9, 5, 30.0) == []
    assert [post.id for post in store.claim_posts(1031.0, 5, 30.0)] == ["p1", "p2"]


def test_a_post_that_was_sent_is_forgotten(store: Store) -> None:
    queue(store, a_post())
    store.claim_posts(1000.0, 5, 30.0)
    store.drop_post(a_post("p1"), 1000.0)
    assert store.count_posts() == PostCount(0, 0)
    assert store.waiting_posts(5) == store.dead_posts() == store.claim_posts(2000.0, 5, 30.0) == []


def test_a_post_that_is_delayed_is_claimed_again_later_as_it_was_kept(store: Store) -> None:
    queue(store, a_post())
    tried = a_post(attempts=1, error="no answer")
    store.delay_post(tried, 1010.0)
    assert store.claim_posts(1009.0, 5, 30.0) == []
    assert store.claim_posts(1010.0, 5, 30.0) == [tried]
    store.drop_post(a_post("p1"), 1000.0)
    store.delay_post(tried, 1010.0)  # by somebody who was too slow
    store.part_post(tried, 1010.0, 1010.0)
    store.bury_post(tried, 1010.0)
    assert store.count_posts() == PostCount(0, 0)


def in_lane(store: Store) -> tuple[Post, Post, Post]:
    posts = a_post("p1", lane="t1"), a_post("p2", lane="t1"), a_post("p3", lane="t1")
    queue(store, *posts)
    assert store.waiting_posts(10) == [*posts]
    assert store.count_posts() == PostCount(waiting=3, dead=0)
    assert store.claim_posts(1000.0, 5, 30.0) == [posts[0]]
    return posts


def test_of_a_lane_the_next_post_is_due_when_the_one_before_it_was_sent_or_given_up(store: Store) -> None:
    first, second, third = in_lane(store)
    assert store.claim_posts(1001.0, 5, 30.0) == []
    store.drop_post(first, 1001.0)
    assert store.claim_posts(1001.0, 5, 30.0) == [second]
    store.drop_post(first, 1001.0)  # by somebody else who has sent it too, and was slow
    assert store.claim_posts(1002.0, 5, 30.0) == []
    store.bury_post(second, 1002.0)
    assert store.claim_posts(1002.0, 5, 30.0) == [third]
    store.drop_post(third, 1003.0)
    assert store.count_posts() == PostCount(waiting=0, dead=1)


def test_a_post_that_is_delayed_holds_up_its_lane(store: Store) -> None:
    first, second, _ = in_lane(store)
    store.delay_post(first, 1010.0)
    assert store.claim_posts(1009.0, 5, 30.0) == []
    assert store.claim_posts(1010.0, 5, 30.0) == [first]
    store.drop_post(first, 1010.0)
    assert store.claim_posts(1010.0, 5, 30.0) == [second]


def test_a_post_that_parts_from_its_lane_is_overtaken(store: Store) -> None:
    first, second, third = in_lane(store)
    store.part_post(first, 1010.0, 1001.0)
    assert store.claim_posts(1001.0, 5, 30.0) == [second]
    store.drop_post(second, 1002.0)
    assert store.claim_posts(1002.0, 5, 30.0) == [third]
    (parted,) = store.claim_posts(1010.0, 5, 30.0)
    assert parted == first.model_copy(update={"lane": "p1"})
    store.part_post(parted, 1020.0, 1010.0)
    assert store.claim_posts(1019.0, 5, 30.0) == []
    assert store.claim_posts(1020.0, 5, 30.0) == [parted]


def test_a_post_that_another_one_has_sent_while_it_was_put_aside_is_forgotten(store: Store) -> None:
    first, second, _ = in_lane(store)
    store.part_post(first, 1010.0, 1001.0)
    store.drop_post(first, 1002.0)  # by somebody whose claim had ended, and who got through
    assert [post.id for post in store.waiting_posts(10)] == ["p2", "p3"]
    assert store.claim_posts(1010.0, 5, 30.0) == [second]
    assert store.claim_posts(1020.0, 5, 30.0) == []
    store.drop_post(second, 1020.0)
    store.drop_post(a_post("p3", lane="t1"), 1020.0)
    assert store.count_posts() == PostCount(waiting=0, dead=0)
    assert store.claim_posts(9999.0, 5, 30.0) == []


def test_a_post_that_was_queued_again_and_dropped_does_not_hold_up_its_lane(store: Store) -> None:
    first, second, third = in_lane(store)
    store.bury_post(first, 1001.0)
    assert store.revive_post(first, 1002.0)
    store.drop_post(second, 1002.0)
    assert store.claim_posts(1002.0, 5, 30.0) == [third]
    store.drop_post(first, 1002.0)  # by a second person who has seen it given up
    queue_behind = a_post("p4", lane="t1")
    position = store.webhook_position()
    assert store.queue_posts(position, position, [queue_behind])
    store.drop_post(third, 1003.0)
    store.claim_posts(1003.0, 5, 30.0)
    assert store.claim_posts(1003.0, 5, 30.0) == [queue_behind]


def test_nothing_is_left_in_redis_of_a_post_that_two_had_in_hand(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    with RedisStore(redis_server.url, deadline=2.0) as store:
        queue(store, a_post("p1", lane="t1"))
        store.part_post(a_post("p1", lane="t1"), 1010.0, 1001.0)
        store.drop_post(a_post("p1", lane="t1"), 1002.0)
        assert store.claim_posts(1010.0, 5, 30.0) == []
        assert redis_server.ask("EXISTS", POSTS, POSTS_WAITING, LANES) == 0


def test_a_post_that_is_queued_again_goes_behind_those_of_its_lane(store: Store) -> None:
    first, second, third = in_lane(store)
    store.bury_post(first, 1001.0)
    assert store.revive_post(first, 1002.0)
    assert store.waiting_posts(10) == [second, third, first]


def test_posts_given_up_are_kept_and_can_be_queued_again(store: Store) -> None:
    queue(store, a_post("p1"), a_post("p2"))
    store.bury_post(a_post("p1", attempts=3), 1010.0)
    store.bury_post(a_post("p2", attempts=3), 1011.0)
    assert [post.id for post in store.dead_posts()] == ["p2", "p1"]
    assert store.claim_posts(9999.0, 5, 30.0) == []
    assert store.revive_post(a_post("p1"), 1020.0)
    assert not store.revive_post(a_post("p1"), 1020.0)
    assert store.claim_posts(1020.0, 5, 30.0) == [a_post("p1")]
    assert [post.id for post in store.dead_posts()] == ["p2"]
    assert store.count_posts() == PostCount(waiting=1, dead=1)
    store.drop_post(a_post("p2"), 1000.0)
    assert store.dead_posts() == []


def test_of_too_many_posts_given_up_the_oldest_are_dropped(store: Store) -> None:
    posts = [a_post(f"p{number}") for number in range(DEAD_LENGTH + 2)]
    queue(store, *posts)
    for number, post in enumerate(posts):
        store.bury_post(post, 1000.0 + number)
    dead = store.dead_posts()
    assert len(dead) == DEAD_LENGTH
    assert (dead[0].id, dead[-1].id) == (f"p{DEAD_LENGTH + 1}", "p2")


@pytest.mark.parametrize("spoilt", ["rubbish", '{"id": "p1"}'])
def test_a_post_that_cannot_be_read_does_not_hold_up_the_others(redis_server: RedisServer, spoilt: str) -> None:
    redis_server.ask("FLUSHALL")
    with RedisStore(redis_server.url, deadline=2.0) as store:
        queue(store, a_post("p1"), a_post("p2"))
        redis_server.ask("HSET", POSTS, "p1", spoilt)
        assert store.claim_posts(1000.0, 5, 30.0) == [a_post("p2")]


def test_everything_in_redis_ends_when_nobody_looks_at_it_any_more(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    with RedisStore(redis_server.url, deadline=2.0) as store:
        queue(store, a_post("p1"), a_post("p2"))
        store.bury_post(a_post("p2"), 1000.0)
        store.claim_posts(1000.0, 5, 30.0)
        reach(store, Stage.REQUESTED)
        keys = [key for key in redis_server.ask("KEYS", "*") if b"{webhooks}" in key]
        assert len(keys) == 6
        assert all(redis_server.ask("TTL", key) > 0 for key in keys)
