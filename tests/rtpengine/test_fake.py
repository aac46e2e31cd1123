"""The in-memory rtpengine keeps the contract, and plays fate as told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtpengine import (
    Answer,
    BlockDtmf,
    BlockMedia,
    CommandRefused,
    DeadlineExceeded,
    Delete,
    FakeRtpengine,
    MediaPool,
    NodeUnreachable,
    NoNodeAvailable,
    Offer,
    Ping,
    PlayMedia,
    Pong,
    Query,
    StopMedia,
    UnblockDtmf,
    UnblockMedia,
    UnknownNode,
)
from tests.rtpengine.contract import MediaPoolContract, sound
from tests.rtpengine.sdp import media, names, sdp

if TYPE_CHECKING:
    from pathlib import Path


class TestFakeRtpengine(MediaPoolContract):
    """The contract that the real daemon keeps too."""

    @pytest.fixture
    def pool(self) -> MediaPool:
        return FakeRtpengine()


@pytest.fixture
def fake() -> FakeRtpengine:
    return FakeRtpengine(("media1", "media2"))


def talk(fake: FakeRtpengine, node: str = "media1") -> None:
    fake.request(node, Offer("c1", "caller", sdp(20000)))
    fake.request(node, Answer("c1", "caller", "agent", sdp(20002)))


def test_calls_live_at_one_node_only(fake: FakeRtpengine) -> None:
    talk(fake)
    assert set(fake.calls("media1")) == {"c1"}
    assert fake.calls("media2") == {}
    with pytest.raises(CommandRefused):
        fake.request("media2", Query("c1"))
    assert fake.party("c1", "caller").sdp == sdp(20000)


def test_requests_are_remembered_in_order(fake: FakeRtpengine) -> None:
    fake.request("media2", Ping())
    fake.request("media1", Delete("c1"))
    assert fake.requests == [("media2", Ping()), ("media1", Delete("c1"))]


def test_what_a_party_sends_shows_in_the_query(fake: FakeRtpengine) -> None:
    talk(fake)
    fake.hears("c1", "caller", packets=50, at=1700000000)
    tags = fake.request("media1", Query("c1")).tags
    assert (tags["caller"].packets, tags["caller"].last_packet, tags["caller"].codecs) == (
        50,
        1700000000,
        ("PCMU/8000",),
    )
    assert (tags["agent"].packets, tags["agent"].last_packet, tags["agent"].codecs) == (0, 0, ())


def test_blocking_shows_at_the_party(fake: FakeRtpengine) -> None:
    talk(fake)
    fake.request("media1", BlockMedia("c1", "agent"))
    assert fake.party("c1", "agent").blocked
    assert (fake.heard_by("c1", "caller"), fake.heard_by("c1", "agent")) == (set(), {"caller"})
    fake.request("media1", BlockDtmf("c1", "agent"))
    assert fake.party("c1", "agent").keys_blocked
    fake.request("media1", UnblockMedia("c1", "agent"))
    fake.request("media1", UnblockDtmf("c1", "agent"))
    assert fake.heard_by("c1", "caller") == {"agent"}
    assert not fake.party("c1", "agent").keys_blocked


def test_a_party_that_is_not_there_is_a_lookup_error(fake: FakeRtpengine) -> None:
    talk(fake)
    for call_id, tag in (("c1", "leg1"), ("c2", "caller")):
        with pytest.raises(LookupError):
            fake.party(call_id, tag)


def test_a_party_may_answer_or_be_offered_to_under_a_new_tag(fake: FakeRtpengine) -> None:
    talk(fake)
    fake.request("media1", Answer("c1", "caller", "other", sdp(20004)))
    fake.request("media1", Offer("c1", "caller", sdp(20000), "third"))
    assert set(fake.request("media1", Query("c1")).tags) == {"caller", "agent", "other", "third"}


def test_an_answer_to_somebody_unknown_is_refused(fake: FakeRtpengine) -> None:
    talk(fake)
    with pytest.raises(CommandRefused):
        fake.request("media1", Answer("c1", "shadow1", "leg1", sdp(20004)))


def test_an_offer_that_names_nobody_goes_to_the_latest_peer(fake: FakeRtpengine) -> None:
    talk(fake)
    agents = fake.request("media1", Offer("c1", "caller", sdp(20000)))
    assert media(agents.sdp)[0] == fake.party("c1", "agent").port


def test_what_is_played_shows_at_the_party(fake: FakeRtpengine, tmp_path: Path) -> None:
    talk(fake)
    file = sound(tmp_path / "a.wav")
    fake.request("media1", PlayMedia("c1", "caller", file))
    assert (fake.party("c1", "caller").played, fake.heard_by("c1", "caller")) == ([file], {file, "agent"})
    fake.request("media1", StopMedia("c1", "caller"))
    assert fake.heard_by("c1", "caller") == {"agent"}


def test_a_file_that_cannot_be_played_ends_what_plays(fake: FakeRtpengine, tmp_path: Path) -> None:
    talk(fake)
    fake.request("media1", PlayMedia("c1", "caller", sound(tmp_path / "a.wav")))
    with pytest.raises(CommandRefused):
        fake.request("media1", PlayMedia("c1", "caller", str(tmp_path / "b.wav")))
    assert fake.heard_by("c1", "caller") == {"agent"}


def test_what_plays_to_a_party_ends_with_whom_it_once_talked_to(fake: FakeRtpengine, tmp_path: Path) -> None:
    talk(fake)
    file = sound(tmp_path / "a.wav")
    fake.request("media1", PlayMedia("c1", "caller", file))
    fake.request("media1", Offer("c1", "shadow1", sdp(9)))
    fake.request("media1", Answer("c1", "shadow1", "leg1", sdp(20004)))
    fake.request("media1", Delete("c1", "shadow1"))
    assert fake.heard_by("c1", "caller") == {file, "agent"}
    fake.request("media1", Offer("c1", "caller", sdp(20000), "leg2"))
    fake.request("media1", Delete("c1", "leg2"))
    assert file not in fake.heard_by("c1", "caller")


def test_lines_of_ice_are_taken_out(fake: FakeRtpengine) -> None:
    offered = fake.request("media1", Offer("c1", "caller", sdp(20000) + "a=ice-ufrag:abcd\r\n")).sdp
    assert "ice" not in offered


def test_payload_types_without_a_map_are_the_static_ones(fake: FakeRtpengine) -> None:
    bare = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 20000 RTP/AVP 8 0\r\n"
    offered = fake.request("media1", Offer("c1", "caller", bare)).sdp
    assert names(offered) == ("PCMA", "PCMU")
    assert media(offered)[1] == (8, 0)


def test_the_next_command_of_a_kind_can_be_refused(fake: FakeRtpengine) -> None:
    fake.refuse_next(Ping, "no pings today")
    with pytest.raises(CommandRefused, match="no pings today"):
        fake.request("media1", Ping())
    assert fake.request("media1", Ping()) == Pong()


@pytest.mark.parametrize("applied", [False, True])
def test_the_next_command_of_a_kind_can_be_lost_before_or_after_it_takes_effect(
    fake: FakeRtpengine, *, applied: bool
) -> None:
    fake.lose_next(Offer, applied=applied)
    with pytest.raises(DeadlineExceeded):
        fake.request("media1", Offer("c1", "caller", sdp(20000)))
    assert ("c1" in fake.calls("media1")) is applied
    assert fake.choose("any") == "media2"


def test_who_only_tells_does_not_learn_what_came_of_it(fake: FakeRtpengine) -> None:
    fake.refuse_next(Ping, "no pings today")
    fake.tell("media1", Ping())
    fake.lose_next(Ping)
    fake.tell("media1", Ping())
    fake.stop("media1")
    with pytest.raises(NodeUnreachable):
        fake.tell("media1", Ping())


def test_a_stopped_node_loses_its_calls_and_gets_no_new_ones(fake: FakeRtpengine) -> None:
    talk(fake)
    fake.stop("media1")
    with pytest.raises(NodeUnreachable):
        fake.request("media1", Query("c1"))
    assert {fake.choose(call) for call in "abcdef"} == {"media2"}
    assert fake.ping_all() == {"media1": False, "media2": True}
    fake.start("media1")
    assert fake.ping_all() == {"media1": True, "media2": True}
    assert {fake.choose(call) for call in "abcdef"} == {"media1", "media2"}
    assert fake.calls("media1") == {}
    fake.close()


def test_when_all_nodes_rest_there_is_none_to_choose(fake: FakeRtpengine) -> None:
    for node in fake.nodes:
        fake.mark(node, healthy=False)
    with pytest.raises(NoNodeAvailable):
        fake.choose("c1")


def test_a_node_that_it_does_not_have_is_an_error(fake: FakeRtpengine) -> None:
    with pytest.raises(UnknownNode):
        fake.request("media9", Ping())
