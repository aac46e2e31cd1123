"""A blind transfer in the demo: what it must be like, and what it showed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.outcomes import Outcome
from routing.records import Party

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.demo_messages import Message
    from cli.demo_stage import Facts

ABOUT = (
    "A caller talks with a voice agent; the agent's phone sends REFER, a third phone rings for a second and answers.\n"
    "The caller must hear the agent until then and the person from then on, and notice nothing else."
)
AGENT_GETS = ["202 Accepted (REFER)", "NOTIFY 100 Trying", "NOTIFY 180 Ringing", "NOTIFY 200 OK", "BYE"]
HEARS = {Party.CALLER: ["agent", "target"], Party.AGENT: ["caller"], Party.TARGET: ["caller"]}
LONGEST_PAUSE = 0.2
"""Seconds of anything but a voice that a busy machine may put into a recording; the table shows them all."""


def find_problems(facts: Facts) -> list[str]:
    """Say in sentences what was not as it should be."""
    return [*_sip(facts), *_audio(facts), *_end(facts)]


def sum_up(facts: Facts) -> str:
    """Say in a sentence what was shown."""
    until, since = (at - facts.began for at in _handover(facts))
    return (
        f"The caller heard the agent until {until:.2f} s and the person from {since:.2f} s; between REFER and its own "
        f"BYE it got no SIP message, and its RTP port stayed {_port(facts.after.remote)}."
    )


def _sip(facts: Facts) -> Iterator[str]:
    refer = _sent(facts, "agent", "REFER")
    bye = _sent(facts, "caller", "BYE")
    got = [str(m) for m in facts.messages if m.phone == "agent" and not m.sent and m.at >= refer.at]
    if got != AGENT_GETS:
        yield f"After its REFER the agent got {', '.join(got)}; it should have got {', '.join(AGENT_GETS)}."
    told = [str(m) for m in facts.messages if m.phone == "caller" and not m.sent and refer.at <= m.at < bye.at]
    if told:
        yield f"Between REFER and its own BYE the caller got {', '.join(told)}; it should have got nothing."
    if (facts.before.remote, facts.before.codec) != (facts.after.remote, facts.after.codec):
        yield f"The caller's media moved from {facts.before.remote} to {facts.after.remote}."
    if facts.after.source != facts.after.remote:
        yield f"The caller's media came from {facts.after.source} at last, and not from {facts.after.remote}."


def _sent(facts: Facts, phone: str, method: str) -> Message:
    return next(m for m in facts.messages if m.phone == phone and m.sent and m.method == method)


def _audio(facts: Facts) -> Iterator[str]:
    for party, voices in HEARS.items():
        for sound in facts.sounds[party]:
            start, length = sound.start - facts.began, 1000 * sound.seconds
            if sound.name in {"pause", "unknown"}:
                if sound.seconds > LONGEST_PAUSE:
                    yield f"The {party} heard nobody for {length:.0f} ms at {start:.2f} s."
            elif sound.name not in voices:
                yield f"The {party} heard {sound.name} for {length:.0f} ms at {start:.2f} s."
        heard = {sound.name for sound in facts.sounds[party]}
        yield from (f"The {party} did not hear the {voice}." for voice in voices if voice not in heard)
    until, since = _handover(facts)
    if until > since:
        yield f"The caller still heard the agent {1000 * (until - since):.0f} ms after it first heard the person."


def _handover(facts: Facts) -> tuple[float, float]:
    """Find when the caller last heard the agent alone, and when it first heard the target alone."""
    windows = facts.windows[Party.CALLER]
    until = max((sound.end for sound in windows if sound.name == "agent"), default=facts.began)
    since = min((sound.start for sound in windows if sound.name == "target"), default=until)
    return until, since


def _end(facts: Facts) -> Iterator[str]:
    transfer = facts.transfer
    if transfer.outcome is not Outcome.CONNECTED:
        yield f"The call log says {transfer.outcome} ({transfer.status} {transfer.reason}); it should say connected."
    yield from (f"{holder} still holds something of the call 3 s after its end." for holder in facts.left)


def _port(address: str) -> str:
    return address.rpartition(":")[2]
