"""What the media tell the call log, and that it is asked only for calls that were handed over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from kemi.call_log import connected, heard, with_media
from kemi.ended import ENDED
from kemi.message import q850
from kemi.performer import Performer
from routing import actions as do
from routing import events as ev
from routing.heard import Heard, PartyHeard
from routing.outcomes import Outcome
from routing.records import Call, Party, State
from routing.transfer_record import Attempt, Transfer
from rtpengine import CallQueried, Delete, FakeRtpengine, PartyMedia, Quality, Query, Stream
from tests.kemi.calls import CALL_ID, Bench, anchored, answered, sdp, transfer

if TYPE_CHECKING:
    from kemi.metrics import Metrics
    from tests.fake_ksr import FakeKsr


def attempt(leg: int = 1, status: int = 200) -> Attempt:
    return Attempt(uri="sip:p@h", status=status, reason="x", started_at=1.0, ended_at=2.0, leg=leg)


def finished(*attempts: Attempt, outcome: Outcome = Outcome.CONNECTED, **changes: object) -> Transfer:
    return transfer().model_copy(update={"outcome": outcome, "attempts": attempts, **changes})


def after(*history: Transfer) -> Call:
    return anchored(FakeRtpengine()).model_copy(update={"history": history})


@pytest.mark.parametrize(
    ("codecs", "offered"),
    [
        (("PCMU", "PCMA"), ("PCMU", "PCMA")),
        (("G722", "PCMU"), ("PCMU", "G722")),
        (("G722",), ("G722",)),
        ((), ("PCMU",)),
    ],
)
def test_what_was_offered_is_the_callers_codec_and_those_of_the_target(
    codecs: tuple[str, ...], offered: tuple[str, ...]
) -> None:
    """As `CallMedia.offer_leg` asks rtpengine to: the caller's own comes first, unless the target does not take it."""
    done = with_media(after(), finished(attempt(), codecs=codecs))
    assert (done.caller_codec, done.caller_media, done.offered) == ("PCMU", "127.0.0.1", offered)


def test_where_nobody_was_called_nothing_was_offered() -> None:
    done = with_media(after(), finished(attempt(leg=0, status=503), outcome=Outcome.UNREACHABLE))
    assert (done.caller_codec, done.offered) == ("PCMU", ())


def test_a_caller_without_sdp_speaks_nothing_that_is_known() -> None:
    call = after()
    call = call.model_copy(update={"media": call.media.model_copy(update={"caller_sdp": "", "caller_view": ""})})
    assert with_media(call, finished(attempt())).caller_codec == ""


def test_the_last_person_who_was_connected_is_the_one_who_is_heard() -> None:
    """Whoever was to get the call after it, and did not."""
    first = finished(attempt(1), id="t1")
    second = finished(attempt(2, 486), attempt(3), id="t2")
    failed = finished(attempt(4, 486), outcome=Outcome.BUSY, id="t3")
    assert connected(after(first, second, failed)) == ("t2", 3)


def test_a_call_that_nobody_got_or_that_the_callers_side_took_away_has_nobody_to_be_heard() -> None:
    assert connected(after()) is None
    assert connected(after(finished(attempt(1, 486), outcome=Outcome.BUSY))) is None
    assert connected(after(finished(attempt(leg=0)))) is None
    assert connected(after(finished())) is None


def test_what_came_from_each_party_is_told_as_far_as_it_is_known() -> None:
    """How well, the other one says: rtpengine has it by the SSRC of who reports."""

    def party(tag: str, ssrc: int, *codecs: str) -> PartyMedia:
        return PartyMedia(tag, codecs, (Stream(1, rtcp=False, last_packet=1, packets=7, bytes=1, errors=0, ssrc=ssrc),))

    tags = {"caller": party("caller", 5, "PCMA/8000"), "leg2": party("leg2", 6), "agent": party("agent", 7)}
    found = CallQueried(1, tags, {6: Quality(4.3, 2, 1, 9)})
    call = after()
    assert heard(call, "t1", 2, found, 100.0) == Heard(
        transfer="t1",
        ended_at=100.0,
        parties={
            Party.CALLER: PartyHeard(codec="PCMA", packets=7, mos=4.3, jitter=2, loss=1, lost=9, last_at=1),
            Party.TARGET: PartyHeard(packets=7, last_at=1),
        },
    )
    assert set(heard(call, "t1", 3, found, 100.0).parties) == {Party.CALLER}


@pytest.mark.parametrize(("agent_leg", "held"), [(0, "target_sdp"), (2, "agent_sdp")])
def test_who_is_on_hold_need_not_be_heard(agent_leg: int, held: str) -> None:
    """Also a person who tried to hand the call on, and so has the agent's place."""
    party = PartyMedia("leg2", (), (Stream(1, rtcp=False, last_packet=1, packets=0, bytes=1, errors=0),))
    call = after().model_copy(update={"agent_leg": agent_leg})
    sdps = call.media.model_copy(update={held: sdp(6000, "0", "a=inactive")})
    found = heard(call.model_copy(update={"media": sdps}), "t1", 2, CallQueried(1, {"leg2": party}), 100.0)
    assert found.parties == {Party.TARGET: PartyHeard(on_hold=True)}


def talked() -> tuple[Bench, Call]:
    """Give a call that was handed over, as its last event leaves it."""
    bench = Bench()
    call = bench.handle(ev.TransferRequested(transfer()))
    bench.media.offer_leg(call, call.legs[0], ("PCMU",))
    call = bench.handle(answered(sdp(6000)))
    return bench, call.model_copy(update={"state": State.ENDED, "leg": None, "target": None})


def performer(bench: Bench) -> Performer:
    nothing = cast("Metrics", SimpleNamespace())
    return Performer(
        nothing,  # type: ignore[arg-type]
        bench.media,
        nothing,
        nothing,  # type: ignore[arg-type]
        hunting=nothing,  # type: ignore[arg-type]
        store=bench.store,
    )


def test_at_the_end_of_a_call_that_was_handed_over_it_is_noted_how_it_was_heard(ksr: FakeKsr) -> None:
    bench, call = talked()
    bench.pool.hears(CALL_ID, "leg1", packets=9, at=1000)
    ksr.allow("htable.sht_sets")
    performer(bench).perform(do.ReleaseMedia(), call)
    ((table, name, data),) = ksr.called("htable.sht_sets")
    assert (table, name) == (ENDED, CALL_ID)
    assert Heard.model_validate_json(str(data)).parties[Party.TARGET].packets == 9
    assert isinstance(bench.pool.requests[-1][1], Delete)


def test_a_plain_call_costs_no_request_more(ksr: FakeKsr) -> None:
    bench = Bench()
    performer(bench).perform(do.ReleaseMedia(), bench.call)
    assert [type(command) for _, command in bench.pool.requests[-2:]].count(Query) == 0
    assert ksr.calls == []


def test_where_rtpengine_knows_the_call_no_more_nothing_is_noted(ksr: FakeKsr) -> None:
    bench, call = talked()
    bench.pool.refuse_next(Query, "Unknown call-id")
    performer(bench).perform(do.ReleaseMedia(), call)
    assert ksr.calls == []


@pytest.mark.parametrize(
    ("reasons", "cause"),
    [
        ([], None),
        (["SIP;cause=486"], None),
        (["Q.850;cause=17"], 17),
        (['q.850 ; text="User; busy, really" ;cause = 17'], None),
        (["SIP;cause=486", 'Q.850;cause=16;text="Normal call clearing"'], 16),
        (['SIP;cause=200;text="Call completed elsewhere", Q.850;cause=26'], 26),
        (["Q.850;cause=x"], None),
        (["Q.850;cause=0"], None),
    ],
)
def test_the_q850_cause_is_found_among_the_reasons(reasons: list[str], cause: int | None) -> None:
    """RFC 3326 section 2: several may be on one line."""
    assert q850(reasons) == cause
