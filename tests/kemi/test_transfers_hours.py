"""A target that is closed is not called: its fallback is, or the request is refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from kemi.message import SipError
from kemi.transfers import Transfers
from routing.settings import make_settings
from routing.store import MemoryStore
from routing.targets import Target
from routing.transfer_record import Subscription, Transfer
from rtpengine import FakeRtpengine
from tests.kemi.calls import anchored

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr

SETTINGS = make_settings(
    {
        "node": {"time_zone": "Europe/Berlin"},
        "pools": [{"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}],
    }
)
NOON = datetime(2026, 11, 23, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()  # a Monday
DAY, NIGHT, TUESDAY = ["mon-fri 09:00-17:00"], ["mon-fri 22:00-06:00"], ["tue 09:00-17:00"]


class Desk:
    """Plans transfers of one call at noon on a Monday, to targets that are kept in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.transfers = Transfers(SETTINGS, self.store)
        self.call = anchored(FakeRtpengine())

    def keep(self, name: str, **fields: object) -> None:
        """Keep a target."""
        target = Target.make({"name": name, "endpoints": [f"sip:{name}@127.0.0.1"], **fields})
        self.store.put_target(name, target.model_dump_json().encode())

    def plan(self, name: str = "support", now: float = NOON) -> list[tuple[str, str, bool]]:
        """Plan a transfer; gives the name of each that is called, the end of its id, and whether it has the agent."""
        target = self.transfers.named(name)
        assert target
        subscription = Subscription(cseq=1)
        transfer = self.transfers.plan(self.call, target, "refer", requested_at=now, subscription=subscription)
        first, chain = transfer.id, []
        following: Transfer | None = transfer
        while following:
            chain.append((following.target, following.id.removeprefix(first), following.subscription is not None))
            following = following.fallback
        return chain

    def refusal(self, now: float = NOON) -> SipError:
        """Plan a transfer that is refused."""
        with pytest.raises(SipError) as refused:
            self.plan(now=now)
        return refused.value


@pytest.fixture
def desk(ksr: FakeKsr) -> Desk:
    """Plan transfers in the place of Kamailio."""
    del ksr
    return Desk()


def test_an_open_target_is_called(desk: Desk) -> None:
    desk.keep("support", hours=DAY)
    assert desk.plan() == [("support", "", True)]


def test_a_closed_target_is_refused_until_it_opens(desk: Desk) -> None:
    desk.keep("support", hours=NIGHT, closed="Nobody is here; call at night")
    refused = desk.refusal()
    assert (refused.status, refused.text) == (480, "Nobody is here; call at night")
    assert refused.retry_after == 10 * 3600
    assert str(refused.__cause__) == (
        "target support is closed: Nobody is here; call at night; support opens Mon 2026-11-23 22:00 (Europe/Berlin)"
    )


def test_retry_after_is_in_whole_seconds_and_never_too_early(desk: Desk) -> None:
    desk.keep("support", hours=NIGHT)
    assert desk.refusal(NOON + 0.001).retry_after == 10 * 3600


def test_the_time_zone_of_the_target_goes_over_that_of_the_node(desk: Desk) -> None:
    desk.keep("support", hours=["mon 20:00-21:00"], time_zone="Asia/Tokyo")
    assert desk.plan()
    desk.keep("support", hours=["mon 20:00-21:00"])
    assert desk.refusal().retry_after == 8 * 3600


def test_a_closed_target_gives_way_to_its_fallback_which_gets_what_the_agent_is_told(desk: Desk) -> None:
    desk.keep("support", hours=NIGHT, fallback="desk")
    desk.keep("desk", fallback="office")
    desk.keep("office")
    assert desk.plan() == [("desk", "", True), ("office", "f", False)]


def test_a_fallback_that_is_closed_is_passed_over(desk: Desk) -> None:
    desk.keep("support", fallback="desk")
    desk.keep("desk", hours=NIGHT, fallback="office")
    desk.keep("office", hours=DAY)
    assert desk.plan() == [("support", "", True), ("office", "f", False)]
    desk.keep("support", fallback="desk", hours=NIGHT)
    assert desk.plan() == [("office", "", True)]


def test_where_all_are_closed_the_target_speaks_and_the_first_to_open_is_named(desk: Desk) -> None:
    desk.keep("support", hours=TUESDAY, fallback="desk", closed="Back on Tuesday")
    desk.keep("desk", hours=NIGHT, holidays=["2026-11-30"], closed="unused")
    refused = desk.refusal()
    assert (refused.text, refused.retry_after) == ("Back on Tuesday", 10 * 3600)
    assert "; desk opens Mon 2026-11-23 22:00" in str(refused.__cause__)


def test_a_target_that_never_opens_asks_for_no_other_try(desk: Desk) -> None:
    days = [f"{date(2000, 1, 1) + timedelta(day):%m-%d}" for day in range(366)]
    desk.keep("support", holidays=days)
    refused = desk.refusal()
    assert refused.retry_after is None
    assert "it never opens" in str(refused.__cause__)
