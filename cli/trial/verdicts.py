"""What the replies of an endpoint mean, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding, failed, ok, warning
from cli.trial.attempt import HUNG_UP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.trial.attempt import Attempt
    from cli.trial.sound import Heard

DEAD = "see that it runs, and that firewalls on the way let SIP through both ways"
CODECS = frozenset({415, 488, 606})
BUSY = frozenset({480, 486, 600, 603})
SLOW = 0.5
LOSS, JITTER, DELAY = 0.02, 0.03, 0.3
"""Share of lost packets, and seconds, from which on people hear it."""

_MENDS = {
    403: "let it take calls from this node: its list of addresses, or the caller id (--caller-id)",
    404: "check the user part of the endpoint, and that a phone is registered there",
    408: "see whether its phone is registered and reachable from its server",
    480: "see whether its phone is registered, or wait until it is free",
    486: "test again when it is free",
    600: "test again when it is free",
    603: "see whether it is set to do not disturb",
    503: "see its log: it is overloaded, or does not take calls from here",
}


def judge_options(attempt: Attempt) -> Finding:
    """Judge the reply to OPTIONS: any says that it is there."""
    what = f"{attempt.status} {attempt.reason} in {attempt.seconds * 1000:.0f} ms"
    if attempt.status >= 500:
        return warning("options", what, "look at its log")
    if attempt.seconds > SLOW:
        return warning("options", what, "each call waits as long: look at the network, and its load")
    return ok("options", what)


def judge_login(attempt: Attempt, user: str) -> list[Finding]:
    """Judge the login, where there was one, or was one wanted."""
    if not attempt.asked:
        return []
    if attempt.status not in {401, 407}:
        return [ok("login", f"accepted as {user}")]
    what, _, mend = attempt.refused.partition("; ")
    what = what if attempt.refused else "refused"
    return [failed("login", f"{attempt.status}: {what}", mend or "check user and secret of the target")]


def judge_call(attempt: Attempt, alone: Mapping[str, Attempt | None]) -> Finding:
    """Judge the call with all codecs; `alone` has those with one, None where no reply came."""
    status = f"{attempt.status} {attempt.reason}"
    if attempt.good:
        return _judge_reached(attempt)
    if attempt.status in CODECS:
        works = [codec for codec, one in alone.items() if one and one.good]
        mend = f"offer only {', '.join(works)}: --codec" if works else "give codecs that it has: --codec"
        return failed("call", f"no common codec ({status})", f"{mend}; see also --srtp")
    if attempt.status in BUSY:
        return warning("call", f"it does not take the call now ({status})", _MENDS[attempt.status])
    if 300 <= attempt.status < 400:
        to = attempt.message.headers.get("Contact") or "nowhere"
        return warning("call", f"diverted ({status}) to {to}", "make that an endpoint, if it is meant to stay so")
    if attempt.status < 200:
        return warning("call", f"neither rings nor answers ({status})", "see its log, and what is behind it")
    return failed("call", f"refused ({status})", _MENDS.get(attempt.status, "look at its log"))


def _judge_reached(attempt: Attempt) -> Finding:
    how = "answered" if attempt.answered else "rings"
    codec = f", codec {attempt.codec}" if attempt.codec else ""
    what = f"{how}{codec}, first reply in {attempt.seconds * 1000:.0f} ms"
    if attempt.ended and attempt.ended != HUNG_UP:
        return warning("call", f"{what}; {attempt.ended}", "see its log: a call may be left over there")
    return ok("call", what)


def judge_codec(codec: str, attempt: Attempt | None, together: Attempt) -> Finding:
    """Judge the call with one codec alone; one that is not taken does no harm where another is."""
    part = f"codec {codec}"
    if attempt is None:
        return warning(part, "no reply", "test again: it replied to other calls")
    status = f"{attempt.status} {attempt.reason}"
    if attempt.good:
        return ok(part, f"answered with {attempt.codec or 'no codec'}" if attempt.answered else "rings")
    if attempt.status in CODECS:
        if together.good:
            return ok(part, f"not taken alone ({status}); others are")
        return failed(part, f"not taken ({status})", "leave it out: --codec")
    return warning(part, f"not known ({status})", "test again: it took another call before")


def judge_sound(heard: Heard, *, encrypted: bool) -> list[Finding]:
    """Judge RTP both ways."""
    from_it = _heard(heard)
    if encrypted:
        return [from_it]
    findings = [from_it, _sent(heard)]
    if heard.round_trip is not None:
        what = f"{heard.round_trip * 1000:.0f} ms there and back"
        slow = heard.round_trip > DELAY
        findings.append(warning("latency", what, "look at the network on the way") if slow else ok("latency", what))
    return findings


def _heard(heard: Heard) -> Finding:
    part, jitter = "sound from it", heard.jitter / heard.clock
    if not heard.received and heard.direction in {"recvonly", "inactive"}:
        mend = "see whether it is on hold, or set to listen only"
        return failed(part, f"it says that it sends none (a={heard.direction})", mend)
    if not heard.received:
        mend = "see whether it sends at all, and firewall and NAT for RTP between it and this node"
        return failed(part, f"no RTP in {heard.seconds:.1f} s", mend)
    what = f"{heard.received} packets, {heard.loss:.1%} lost, jitter {jitter * 1000:.0f} ms"
    if heard.silent:
        return warning(part, f"{what}; all of it is silence", "see whether its microphone is muted")
    if heard.loss > LOSS or jitter > JITTER:
        return warning(part, what, "look at the network on the way")
    return ok(part, what)


def _sent(heard: Heard) -> Finding:
    part = "sound to it"
    if not heard.sent:
        wants = "" if heard.direction in {"sendrecv", "recvonly"} else f" (a={heard.direction})"
        return failed(part, f"its answer wants no sound{wants}", "see address and direction in the SDP of its answer")
    if heard.reported_loss is None:
        mend = "ask the person whether something was heard: it sends no RTCP"
        return warning(part, f"{heard.sent} packets sent, it does not say what arrived", mend)
    what = f"{heard.sent} packets sent, it reports {heard.reported_loss:.1%} lost"
    return warning(part, what, "look at the network on the way") if heard.reported_loss > LOSS else ok(part, what)


def judge_abilities(attempts: Sequence[Attempt]) -> list[Finding]:
    """Judge whether it takes REFER and Replaces, by what it said in Allow and Supported."""
    return [_ability(attempts, name, field) for name, field in (("REFER", "Allow"), ("Replaces", "Supported"))]


def _ability(attempts: Sequence[Attempt], name: str, field: str) -> Finding:
    said = [words for attempt in attempts if (words := attempt.words(field)) is not None]
    if any(name.lower() in words for words in said):
        return ok(name, f"it has it in {field}")
    what = f"not in its {field}" if said else f"it sends no {field}"
    return warning(name, what, "only attended transfers and calls handed on there need it")
