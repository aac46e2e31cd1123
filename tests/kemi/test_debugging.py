"""Debug lines of one call: who gets them, and what is not in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kemi.debugging import LASTS, WATCHED, brief, tell_step
from routing import actions as do
from routing import events as ev
from tests.kemi.calls import CALL_ID, Bench, answered, leg, sdp, transfer
from tests.ksr_stub import STUB

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr


def told(ksr: FakeKsr, *, watched: bool, all_calls: bool) -> list[tuple[str, str]]:
    """Give the lines of a call that an endpoint has refused."""
    ksr.on("htable.sht_get", WATCHED, CALL_ID, returns="on" if watched else None)
    call = Bench().call
    tell_step(call, ev.LegFailed(1, 486, "Busy Here"), call, [do.ReleaseLegMedia(1)], all_calls=all_calls)
    return ksr.log


def test_a_call_that_is_watched_is_told_at_any_level(ksr: FakeKsr) -> None:
    failed = "LegFailed leg=1 status=486 reason='Busy Here' answered=True called=True from=talking to=talking"
    assert told(ksr, watched=True, all_calls=False) == [
        ("info", f"call={CALL_ID} debug=event {failed} \n"),
        ("info", f"call={CALL_ID} debug=action ReleaseLegMedia leg=1\n"),
    ]


def test_the_others_are_told_at_the_level_debug_alone(ksr: FakeKsr) -> None:
    assert told(ksr, watched=False, all_calls=False) == []
    assert [level for level, _ in told(ksr, watched=False, all_calls=True)] == ["dbg", "dbg"]


@pytest.mark.parametrize(
    ("happening", "secret"),
    [
        (answered(sdp(6000, "0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret")), "secret"),
        (ev.SummaryGiven("a secret"), "secret"),
        (do.InviteAgain(leg(), transfer(), (("Authorization", 'Digest response="secret"'),)), "secret"),
    ],
)
def test_what_is_nobodys_business_is_left_out(happening: ev.Event | do.Action, secret: str) -> None:
    assert brief(happening).startswith(type(happening).__name__)
    assert secret not in brief(happening)


def test_a_line_stays_one_line(ksr: FakeKsr) -> None:
    assert brief(ev.LegFailed(1, 486, "Busy\r\nINJECTED")).count("\n") == 0


def test_kamailio_forgets_a_call_when_the_operator_is_told_so() -> None:
    config = STUB.parents[2] / "deploy" / "kamailio" / "kamailio.cfg"
    assert f"{WATCHED}=>size=4;autoexpire={LASTS};" in config.read_text()
