"""What handoff relies on in rtpengine: one set of tests that the real daemon and the in-memory one both pass."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from rtpengine import BlockMedia, Codecs, CommandRefused
from rtpengine.sdp import widen
from tests.rtpengine.contract_call import AGENT, ALL, CALLER, TARGET, Call, sound
from tests.rtpengine.contract_sounds import SoundContract
from tests.rtpengine.sdp import media, names, sdp

if TYPE_CHECKING:
    from rtpengine import MediaPool

__all__ = ["Call", "MediaPoolContract", "sound"]


class MediaPoolContract(SoundContract):
    """Inherit with a fixture `pool`; the tests use its first node."""

    @pytest.fixture
    def call(self, pool: MediaPool) -> Call:
        return Call(pool, secrets.token_hex(8))

    def test_every_node_answers_a_ping(self, pool: MediaPool) -> None:
        assert pool.ping_all() == dict.fromkeys(pool.nodes, True)
        assert pool.choose("c1") in pool.nodes

    def test_offer_and_answer_give_each_side_a_port_of_rtpengine(self, call: Call) -> None:
        to_agent, to_caller = call.talk()
        assert len({media(to_agent)[0], media(to_caller)[0], CALLER, AGENT}) == 4
        assert names(to_agent) == ("PCMU", "PCMA")
        assert names(to_caller) == ("PCMU",)
        assert call.tags() == {"caller", "agent"}

    def test_a_repeated_offer_gets_the_same_port(self, call: Call) -> None:
        assert call.offer("caller", sdp(CALLER)) == call.offer("caller", sdp(CALLER))

    def test_another_agent_may_answer_later_and_the_caller_keeps_its_port_and_codec(self, call: Call) -> None:
        _, first = call.talk()
        assert media(call.answer("caller", "agent", sdp(TARGET, "PCMA"))) == media(first)
        assert call.tags() == {"caller", "agent"}

    @pytest.mark.parametrize("direction", ["sendrecv", "sendonly", "inactive"])
    @pytest.mark.parametrize("sender", ["caller", "agent"])
    def test_a_new_offer_from_either_side_keeps_all_ports(self, call: Call, sender: str, direction: str) -> None:
        to_agent, to_caller = call.talk("PCMU")
        other, port, peer_port, to_sender, to_other = (
            ("agent", CALLER, AGENT, to_caller, to_agent)
            if sender == "caller"
            else ("caller", AGENT, CALLER, to_agent, to_caller)
        )
        offered = call.offer(sender, sdp(port, direction=direction, version=2), other)
        reverse = {"sendonly": "recvonly"}.get(direction, direction)
        answered = call.answer(sender, other, sdp(peer_port, direction=reverse, version=2))
        assert (media(offered), media(answered)) == (media(to_other), media(to_sender))
        assert f"a={direction}\r\n" in offered
        assert f"a={reverse}\r\n" in answered

    def test_a_target_is_offered_the_callers_codec_first_and_then_the_others(self, call: Call) -> None:
        call.talk("G722")
        assert names(call.ring(have=("G722",))) == ("G722", "PCMU", "PCMA", "opus")

    @pytest.mark.parametrize("codecs", [("PCMU", "PCMA", "G722"), ("G722", "PCMA"), ("PCMU",)], ids="-".join)
    @pytest.mark.parametrize("have", [("PCMU",), ("G722", "telephone-event")], ids="-".join)
    def test_codecs_that_are_written_into_an_offer_are_as_rtpengine_writes_them(
        self, call: Call, have: tuple[str, ...], codecs: tuple[str, ...]
    ) -> None:
        plain = call.ring(Codecs(), have)
        told = call.ring(Codecs.adding(codecs), have)  # the answer to what was written may need it
        assert media(widen(plain, codecs)) == media(told)
        assert names(widen(plain, codecs)) == names(told)

    def test_a_target_can_be_offered_only_some_codecs_in_their_order(self, call: Call) -> None:
        call.talk("PCMU", "telephone-event")
        offered = call.ring(Codecs.only(("PCMA", "PCMU")), ("PCMU", "telephone-event"))
        assert names(offered) == ("PCMA", "PCMU", "telephone-event")

    def test_a_target_can_be_spared_the_callers_codec(self, call: Call) -> None:
        call.talk("PCMU", "telephone-event")
        assert names(call.ring(Codecs.only(("PCMA",)), ("PCMU", "telephone-event"))) == ("PCMA", "telephone-event")

    def test_one_codec_can_be_masked_by_name(self, call: Call) -> None:
        call.talk("PCMU")
        assert names(call.ring(Codecs(transcode=("PCMA",), mask=("PCMU",)))) == ("PCMA",)

    @pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722", "opus"])
    def test_the_bridge_keeps_the_callers_port_and_payload_types(self, call: Call, codec: str) -> None:
        _, to_caller = call.talk("PCMU")
        to_target = call.ring()
        assert call.tags() >= {"caller", "agent", "shadow1"}
        assert media(call.bridge(codec)) == media(to_caller)
        again = call.offer("caller", sdp(CALLER), "leg1", Codecs.adding(ALL))
        # Since rtpengine 12 with the payload types that the target has chosen, before with those of the first offer.
        assert (media(again)[0], names(again)) == (media(to_target)[0], names(to_target))

    def test_the_caller_keeps_its_dtmf_events_when_the_target_has_none(self, call: Call) -> None:
        have = ("PCMU", "telephone-event")
        _, to_caller = call.talk(*have)
        call.ring(have=have)
        assert media(call.bridge("PCMA", have=have)) == media(to_caller)

    def test_a_target_that_may_not_use_the_callers_codec_is_bridged_all_the_same(self, call: Call) -> None:
        codecs = Codecs.only(("PCMA",))
        _, to_caller = call.talk("PCMU")
        call.ring(codecs)
        assert media(call.bridge("PCMA", codecs=codecs)) == media(to_caller)

    def test_after_the_bridge_shadow_and_agent_can_go_and_caller_and_leg_stay(self, call: Call) -> None:
        call.talk()
        call.ring()
        call.bridge("PCMU")
        assert call.delete("shadow1") == ""
        assert call.tags() == {"caller", "agent", "leg1"}
        assert call.delete("agent") == ""
        assert call.tags() == {"caller", "leg1"}

    def test_a_target_that_did_not_answer_goes_with_its_shadow(self, call: Call) -> None:
        call.talk()
        call.ring()
        call.delete("shadow1")
        assert call.tags() == {"caller", "agent"}

    def test_a_target_that_answered_and_was_not_bridged_goes_with_its_shadow(self, call: Call) -> None:
        call.talk()
        call.ring()
        call.answer("shadow1", "leg1", sdp(TARGET))
        call.delete("shadow1")
        assert call.tags() == {"caller", "agent"}

    def test_the_bridge_can_be_undone_and_shadow_and_leg_go_with_the_leg(self, call: Call) -> None:
        to_agent, to_caller = call.talk("PCMU")
        call.ring()
        call.bridge("PCMU")
        assert media(call.offer("caller", sdp(CALLER), "agent")) == media(to_agent)
        assert media(call.answer("caller", "agent", sdp(AGENT))) == media(to_caller)
        call.delete("leg1")
        assert call.tags() == {"caller", "agent"}

    def test_the_last_peer_takes_the_call_with_it(self, call: Call) -> None:
        call.talk()
        call.delete("agent")
        with pytest.raises(CommandRefused, match="Unknown call"):
            call.tags()

    def test_a_deleted_call_is_unknown(self, call: Call) -> None:
        call.talk()
        assert call.delete() == ""
        with pytest.raises(CommandRefused, match="Unknown call"):
            call.tags()

    def test_deleting_what_is_not_there_is_done_with_a_warning(self, call: Call) -> None:
        assert "not found" in call.delete()
        call.talk()
        assert "not found" in call.delete("leg7")

    def test_an_unknown_call_is_refused(self, call: Call) -> None:
        for act in (
            call.tags,
            lambda: call.answer("caller", "agent", sdp(AGENT)),
            lambda: call.ask(BlockMedia(call.id, "caller")),
        ):
            with pytest.raises(CommandRefused, match=r"(?i)unknown call"):
                act()

    def test_an_unknown_tag_is_refused(self, call: Call) -> None:
        call.talk()
        with pytest.raises(CommandRefused, match="tag"):
            call.ask(BlockMedia(call.id, "leg7"))

    def test_something_else_than_sdp_is_refused(self, call: Call) -> None:
        with pytest.raises(CommandRefused, match="SDP"):
            call.offer("caller", "hello")

    def test_dtmf_events_can_be_offered_to_a_target_although_the_caller_has_none(self, call: Call) -> None:
        _, to_caller = call.talk("PCMU")
        offered = call.ring(codecs := Codecs.adding(("PCMA", "telephone-event")))
        assert names(offered) == ("PCMU", "PCMA", "telephone-event")
        assert media(call.bridge("PCMU", "telephone-event", codecs=codecs)) == media(to_caller)

    def test_dtmf_events_can_be_offered_with_only_some_codecs(self, call: Call) -> None:
        call.talk("PCMU")
        assert names(call.ring(Codecs.only(("PCMA", "telephone-event")))) == ("PCMA", "telephone-event")
