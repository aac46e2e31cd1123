"""What a transfer in the demo must be like: everything that was not so, in sentences."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from cli.demo_facts import MUSIC, SUMMARY_HEADER
from cli.tones import PAUSE, UNKNOWN
from routing.delivery import header_value
from routing.outcomes import Mode, Outcome
from routing.records import Party

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.demo_facts import Facts
    from cli.demo_messages import Message
    from cli.tones import Sound

AGENT_GETS = ["202 Accepted (REFER)", "NOTIFY 100 Trying", "NOTIFY 180 Ringing", "NOTIFY 200 OK", "BYE"]
NOBODY = {PAUSE, UNKNOWN}
LONGEST_PAUSE = 0.2
"""Seconds of anything but a voice that a busy machine may put into a recording; the table shows them all."""
PAUSE_OFF = 0.15
"""Seconds by which a pause may differ from its setting."""
PLAYED_LATE = 0.1
"""Seconds after which a phone plays what it gets, when something new begins."""
CLOCKS_OFF = 0.06
"""Seconds by which the time of a recording may be wrong."""


def find_problems(facts: Facts) -> list[str]:
    """Say in sentences what was not as it should be."""
    return [*_sip(facts), *_speech(facts), *_audio(facts), *_bridge(facts), *_briefing(facts), *_end(facts)]


def handover(facts: Facts) -> tuple[float, float]:
    """Find when the caller last heard the agent alone, and when it first heard the target alone."""
    windows = facts.windows[Party.CALLER]
    until = max((sound.end for sound in windows if sound.name == "agent"), default=facts.began)
    since = min((sound.start for sound in windows if sound.name == "target"), default=until)
    return until, since


def briefing(facts: Facts) -> tuple[float, Sound, float] | None:
    """Find the text that the person heard, and the seconds of silence before and after it; None without one."""
    sounds = facts.sounds[Party.TARGET]
    text = next((sound for sound in sounds if sound.name == facts.mode), None)
    if text is None:
        return None
    after = next((s.start for s in sounds if s.start >= text.end and s.name not in NOBODY), text.end)
    return text.start - sounds[0].start, text, after - text.end


def invite(facts: Facts) -> Message:
    """Find the INVITE that the target got."""
    return next(m for m in facts.messages if m.phone == "target" and not m.sent and str(m) == "INVITE")


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
    if facts.task.summary and invite(facts).header(SUMMARY_HEADER) != header_value(facts.task.summary):
        yield f"The INVITE to the target had not the summary as {SUMMARY_HEADER}."


def _sent(facts: Facts, phone: str, method: str) -> Message:
    return next(m for m in facts.messages if m.phone == phone and m.sent and m.method == method)


def _speech(facts: Facts) -> Iterator[str]:
    if facts.transfer.fixed:
        yield f"The {facts.mode} was not spoken in time, and the fixed message took its place: see `handoff doctor`."


def _expected(mode: Mode) -> dict[Party, list[str]]:
    """Give what each party must hear, one after another, but for pauses."""
    if mode is Mode.BLIND:
        return {Party.CALLER: ["agent", "target"], Party.AGENT: ["caller"], Party.TARGET: ["caller"]}
    return {Party.CALLER: ["agent", MUSIC, "target"], Party.AGENT: ["caller"], Party.TARGET: [mode, "caller"]}


def _audio(facts: Facts) -> Iterator[str]:
    for party, expected in _expected(facts.mode).items():
        sounds = facts.sounds[party]
        text = briefing(facts) if party is Party.TARGET else None
        briefed = text[1].end + text[2] if text else 0.0  # the pauses until then are judged elsewhere
        for sound in sounds:
            start, length = sound.start - facts.began, 1000 * sound.seconds
            if sound.name in NOBODY:
                if sound.seconds > LONGEST_PAUSE and (sound.name == UNKNOWN or sound.start >= briefed):
                    what = "nobody" if sound.name == PAUSE else "something unknown"
                    yield f"The {party} heard {what} for {length:.0f} ms at {start:.2f} s."
            elif sound.name not in expected:
                yield f"The {party} heard {sound.name} for {length:.0f} ms at {start:.2f} s."
        heard = [name for name, _ in groupby(sound.name for sound in sounds if sound.name not in NOBODY)]
        missing = [name for name in expected if name not in heard]
        yield from (f"The {party} did not hear the {name}." for name in missing)
        if heard != expected and not missing and set(heard) == set(expected):
            yield f"The {party} heard {', '.join(heard)} one after another; it should have been {', '.join(expected)}."


def _bridge(facts: Facts) -> Iterator[str]:
    until, since = handover(facts)
    if until > since:
        yield f"The caller still heard the agent {1000 * (until - since):.0f} ms after it first heard the person."
    bridged = facts.transfer.ended_at or 0.0
    for party, other in ((Party.CALLER, "target"), (Party.TARGET, "caller")):
        early = bridged - min((sound.start for sound in facts.sounds[party] if sound.name == other), default=bridged)
        if early > CLOCKS_OFF:
            yield f"The {party} heard the {other} {1000 * early:.0f} ms before the bridge."


def _briefing(facts: Facts) -> Iterator[str]:
    found = briefing(facts)
    if found is None:
        return
    before, text, after = found
    transfer, mode = facts.transfer, facts.mode
    for where, lasted, wanted in (("before", before, transfer.pause_before), ("after", after, transfer.pause_after)):
        if not -PAUSE_OFF <= lasted - wanted <= PAUSE_OFF + PLAYED_LATE:
            yield f"The pause {where} the {mode} lasted {lasted:.2f} s; it should have been {wanted:.2f} s."
    if abs(text.seconds - facts.text_seconds) > PAUSE_OFF:
        yield f"The target heard {text.seconds:.2f} s of the {mode}, which lasts {facts.text_seconds:.2f} s."
    late = max((s.end for s in facts.sounds[Party.AGENT]), default=0.0) - _sent(facts, "agent", "REFER").at
    if late > LONGEST_PAUSE:
        yield f"The agent still heard the caller {1000 * late:.0f} ms after its REFER; it should have heard nothing."


def _end(facts: Facts) -> Iterator[str]:
    transfer = facts.transfer
    if transfer.outcome is not Outcome.CONNECTED:
        yield f"The call log says {transfer.outcome} ({transfer.status} {transfer.reason}); it should say connected."
    yield from (f"{holder} still holds something of the call 3 s after its end." for holder in facts.left)
