"""The measurements with RTP: what the caller hears around the bridge."""

from __future__ import annotations

import random
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.bench.result import Result, percentile
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.stack.wire import RtpPacket

AROUND = 0.2
"""Seconds before and after the target's 200 in which gaps are looked for."""


@contextmanager
def prompt_threads() -> Iterator[None]:
    """Let no thread wait for another for 5 ms, as is usual: the voices are threads."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def what_the_caller_hears(quick: bool) -> list[Result]:
    """Measure how soon the caller hears the target, and the longest silence at the change of voices.

    Each voice has a clock of its own, one packet each 20 ms, at random to one another. The target's first packet leaves
    at the first tick after its 200, as with phones that do not wait for the ACK.
    """
    transfers = 20 if quick else 100
    firsts, gaps, before = [], [], []
    with prompt_threads(), Ua("agent") as agent, System(agent.uri) as system:
        for _ in range(transfers):
            with Talk(system, agent) as talk:
                answered = _hand_over(talk)
            heard = talk.caller_voice.packets(since=answered - AROUND, until=answered + AROUND)
            firsts.append(1000 * (_first(heard, talk.target_voice.ssrc) - answered))
            gaps.append(longest_gap(heard))
            before.append(longest_gap(packet for packet in heard if packet.at < answered))
    alone = round(percentile(before, 50), 1)
    details = {"transfers": transfers, "before_the_bridge_p50_ms": alone}
    first, gap = "target's 200 in -> its first RTP at the caller, p99", "longest gap in the caller's RTP, p50"
    return [
        Result(first, percentile(firsts, 99), 25, "ms", details={"p50_ms": round(percentile(firsts, 50), 1)}),
        Result(gap, percentile(gaps, 50), 21, "ms", note=f"{alone:g} ms before the bridge", details=details),
    ]


def _hand_over(talk: Talk) -> float:
    """Let the target answer and be heard for a while; gives the time of its 200."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    time.sleep(AROUND + random.uniform(0, 0.02))  # what is measured is RTP around the answer, at any phase of it
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target_voice.talk_to(invite.body)
    talk.target.expect("ACK")
    talk.notified(200, final=True)
    talk.agent.expect(200, to=talk.agent.request("BYE", talk.agent_dialog))
    talk.hear_target()
    time.sleep(AROUND)  # RTP after the bridge
    bye = talk.caller.request("BYE", talk.caller_dialog)
    talk.target.reply(talk.target.expect("BYE"), 200)
    talk.caller.expect(200, to=bye)
    return talk.wire.wait_for(lambda m: m.status == 200 and m.source[1] == talk.target.port).at


def _first(packets: Iterable[RtpPacket], ssrc: int) -> float:
    return min(packet.at for packet in packets if packet.ssrc == ssrc)


def longest_gap(packets: Iterable[RtpPacket]) -> float:
    """Find the longest time between two packets, in ms."""
    return 1000 * max(b.at - a.at for a, b in pairwise(packets))
