"""Rules for what an endpoint said, or the caller's side that was to call it."""

from __future__ import annotations

from routing.diagnosis_facts import Diagnosis, Facts
from routing.faults import Fault
from routing.outcomes import Outcome
from routing.transfer_record import Srtp
from routing.uris import is_web

CALLER_ID = {428, 433, 436, 437, 438, 607, 608}
"""Refusals of who calls (RFC 8224 section 6.2.2, RFC 5079, RFC 8197, RFC 8688)."""
MOST_ANSWERS = 4
"""So many answers to challenges there are at most; then each has been called too old."""
RESTED = "rested after "
PENDING, STORM = 491, 2
"""The status, and how many of it no longer are a coincidence."""
_MEDIA = {415, 488, 606}
_LOGIN = {401, 407}
_CONGESTED = {34, 38, 42, 44}
"""Q.850: no circuit, network out of order, congestion, circuit not available."""

_SAID: dict[int, tuple[Fault, str, str]] = {
    **dict.fromkeys(
        (404, 410, 484, 485, 604),
        (Fault.NOT_FOUND, "does not know whom we called", "correct the number or name in the endpoint of the target"),
    ),
    **dict.fromkeys(
        (482, 483),
        (
            Fault.LOOP,
            "says that the INVITE goes in a circle",
            "look where it sends calls for this number: the endpoint must lead to a phone, not back to handoff",
        ),
    ),
    **dict.fromkeys(
        (300, 301, 302, 305, 380),
        (
            Fault.REDIRECTED,
            "sends us elsewhere, to where handoff does not go",
            "call that place directly, or list its host in policy.dial_uris; a 302 is followed once only",
        ),
    ),
    **dict.fromkeys(
        (408, 487, 504),
        (
            Fault.GIVEN_UP_THERE,
            "gave the call up itself before anybody answered",
            "if people would have answered, raise the time that it lets phones ring there",
        ),
    ),
    **dict.fromkeys(
        (486, 600),
        (Fault.BUSY, "is busy", "add endpoints (--strategy all_at_once rings several) or a --fallback"),
    ),
    480: (
        Fault.AWAY,
        "says that nobody can be reached there now",
        "see there that the phone is registered and not set to do not disturb",
    ),
    491: (
        Fault.GLARE,
        "refuses since another request is pending there",
        "see there whether it is asked by several at once, or does not end its last call; a later transfer may succeed",
    ),
    513: (
        Fault.TOO_LARGE,
        "finds the INVITE too large",
        "carry less in it: fewer --header, --deliver speech in the place of body or header",
    ),
    603: (
        Fault.DECLINED,
        "declined the call",
        "if no person did so, look there for call blocking, and whether it takes calls from this caller (--caller-id)",
    ),
    503: (
        Fault.OUT_OF_ORDER,
        "says that it is out of order or overloaded",
        "look there; handoff targets show tells whether it rests meanwhile; add endpoints or a --fallback",
    ),
}

_BY_CAUSE: dict[tuple[int, int | None], tuple[Fault, str, str]] = {
    (403, 21): (
        Fault.DECLINED,
        "declined the call, or the phone behind it did",
        "if no person did so, look there for call blocking, and whether it takes calls from this caller (--caller-id)",
    ),
    (404, 3): (
        Fault.AWAY,
        "knows no way to the phone of whom we called",
        "see there that the phone is registered; else correct the number in the endpoint of the target",
    ),
    (603, 16): (
        Fault.GIVEN_UP_THERE,
        "ended the call itself before anybody answered",
        "if people would have answered, raise the time that it lets phones ring there",
    ),
}
"""What Asterisk says in these cases, by SIP status and Q.850 cause, and does not mean literally."""


def refer(facts: Facts) -> Diagnosis | None:
    """Tell why the caller's side did not do what the REFER asks."""
    if not facts.referred:
        return None
    reported = facts.attempt is not None and facts.attempt.reported
    if facts.theirs and reported:
        return _failed_there(facts)
    if facts.status in _LOGIN:
        return Diagnosis(
            Fault.REFER_LOGIN,
            f"the trunk wants a login for REFER and did not take ours, if there is one ({facts.said})",
            "give user and secret of the trunk in [[trunks]], or call the target ourselves with --method invite",
        )
    if not facts.theirs:
        return Diagnosis(
            Fault.REFER_SILENT,
            "the trunk was sent the REFER, and "
            + ("stopped to report" if reported else "did not answer it, or did not report in time")
            + f" how its call to {facts.uri} goes",
            "use --method invite, or auto, which does that by itself; handoff trunks shows what was learned",
        )
    if facts.status == PENDING:
        mend = "a later transfer may succeed; --method auto calls the target from here meanwhile"
        return Diagnosis(
            Fault.GLARE, f"the trunk had another request pending when it got the REFER ({facts.said})", mend
        )
    return Diagnosis(
        Fault.REFER_REFUSED,
        f"the trunk refused the REFER itself ({facts.said}); nobody was called",
        "ask the operator of the trunk whether it takes REFER from here; --method invite does without, auto tries both",
    )


def _failed_there(facts: Facts) -> Diagnosis:
    """Tell how the call of the caller's side ended: it does take REFER, so that is not to be changed."""
    _, what, mend = _SAID.get(facts.status, (None, "could not be reached", "see there why; its log says more"))
    return Diagnosis(
        Fault.REFER_FAILED,
        f"the trunk took the REFER, and reported that its own call to {facts.uri} failed: it {what} ({facts.said})",
        f"{mend}; if a call from here would get through where one of the trunk does not: --method invite",
    )


def login(facts: Facts) -> Diagnosis | None:
    """Tell what is wrong with the login."""
    if not facts.theirs or facts.attempt is None or facts.status not in _LOGIN:
        return None
    if not facts.attempt.challenged:
        return Diagnosis(
            Fault.NO_LOGIN,
            f"{facts.uri} wants a login, and there is none for it that can be used",
            f"give one: handoff targets set {facts.name} --user USER --secret-prompt; with a login there, the log of "
            "the node says why its challenge cannot be answered",
        )
    if facts.attempt.challenged >= MOST_ANSWERS:
        return Diagnosis(
            Fault.STALE_NONCE,
            f"{facts.uri} found each of our {facts.attempt.challenged} answers to its challenges too old",
            "have the clocks of the servers behind that address set alike, or the time that a nonce lasts there raised",
        )
    return Diagnosis(
        Fault.WRONG_LOGIN,
        f"{facts.uri} does not take the login that it got",
        f"correct user and password: handoff targets set {facts.name} --user USER --secret-prompt",
    )


def offer(facts: Facts) -> Diagnosis | None:
    """Tell which media it was offered and did not like."""
    if not facts.theirs or facts.attempt is None or facts.status not in _MEDIA:
        return None
    uri = facts.uri
    secure = uri.lower().startswith("sips:")
    srtp = Srtp.DTLS if is_web(uri) else facts.transfer.srtp or (Srtp.REQUIRED if secure else Srtp.OFF)
    codecs = " ".join(facts.transfer.offered or facts.transfer.codecs) or "as usual"
    if srtp in {Srtp.REQUIRED, Srtp.DTLS}:
        return Diagnosis(
            Fault.SRTP,
            f"{uri} refuses the offer of encrypted media ({facts.said}): --srtp {srtp}, codecs {codecs}",
            "have SRTP switched on there, or allow plain media with --srtp optional or off; if it can encrypt so, "
            "have one of these codecs switched on there",
        )
    plain = "not encrypted" if srtp is Srtp.OFF else "with or without SRTP"
    return Diagnosis(
        Fault.CODEC,
        f"{uri} refuses the offer of media ({facts.said}): codecs {codecs}, {plain}",
        "have one of these codecs switched on there, or offer what it has with --codec"
        + ("; if it insists on encryption, --srtp required" if srtp is Srtp.OFF else ""),
    )


def glare(facts: Facts) -> Diagnosis | None:
    """Tell of 491 again and again, which is more than two who have asked at the same time."""
    refused = [each for each in facts.transfer.attempts if each.theirs and each.status == PENDING]
    if facts.status != PENDING or len(refused) < STORM:
        return None
    return Diagnosis(
        Fault.GLARE_STORM,
        f"{len(refused)} requests of this transfer were refused one after the other, since others were pending there "
        f"({facts.said}): {', '.join(dict.fromkeys(each.uri for each in refused))}",
        "find in handoff trace CALL, and there, who asks again at once: after 491 it is to wait a random time "
        "(RFC 3261 section 14.1); give the server behind these endpoints fewer requests at a time (--max-calls)",
    )


def caller_id(facts: Facts) -> Diagnosis | None:
    """Tell whose calls it does not take; of 403 it is not known whether that is why."""
    if not facts.theirs or facts.status not in {403, *CALLER_ID}:
        return None
    sure = facts.status in CALLER_ID
    return Diagnosis(
        Fault.CALLER_ID if sure else Fault.FORBIDDEN,
        f"{facts.uri} refuses {'the caller ID' if sure else 'the call, which was'} from {facts.transfer.sender} "
        f"({facts.said})",
        "trunks often take only numbers of their customer: give one with --caller-id sip:NUMBER@TRUNK"
        + ("" if sure else "; else ask its operator whether calls from this address are allowed"),
    )


def cause(facts: Facts) -> Diagnosis | None:
    """Tell what a PBX means by its status, where the Q.850 cause beside it says more."""
    if not facts.theirs or facts.attempt is None:
        return None
    found = _BY_CAUSE.get((facts.status, facts.attempt.cause))
    if found is None:
        return None
    rule, what, mend = found
    return Diagnosis(rule, f"{facts.uri} {what} ({facts.said}, Q.850 cause {facts.attempt.cause})", mend)


def congestion(facts: Facts) -> Diagnosis | None:
    """Tell that the network behind it has no room, as the Q.850 cause says."""
    if not facts.theirs or facts.attempt is None or facts.attempt.cause not in _CONGESTED:
        return None
    return Diagnosis(
        Fault.CONGESTION,
        f"the network behind {facts.uri} has no free channel (Q.850 cause {facts.attempt.cause}, {facts.said})",
        "book more channels, limit calls with --max-calls, or add a --fallback by another trunk",
    )


def rested(facts: Facts) -> Diagnosis | None:
    """Tell who was left out, where others of the target were asked and could not."""
    if facts.outcome not in {Outcome.BUSY, Outcome.NO_ANSWER, Outcome.REJECTED}:
        return None
    skipped = [each for each in facts.transfer.attempts if not each.leg and each.reason.startswith(RESTED)]
    if not skipped:
        return None
    why = skipped[0].reason.removeprefix(RESTED)
    return Diagnosis(
        Fault.RESTED,
        f"{', '.join(each.uri for each in skipped)} was not called, since it rests after {why}; "
        f"the others ended with {facts.said}",
        "bring it in order: handoff targets show tells who rests and why; it is called again when it answers OPTIONS",
    )


def said(facts: Facts) -> Diagnosis | None:
    """Tell what its status means."""
    if not facts.theirs:
        return None
    if facts.status in _SAID:
        rule, what, mend = _SAID[facts.status]
        return Diagnosis(rule, f"{facts.uri} {what} ({facts.said})", mend)
    if facts.status >= 500:
        mend = "look there; it, or a server behind it, failed: its log says more"
        return Diagnosis(Fault.SERVER_ERROR, f"{facts.uri} could not do it ({facts.said})", mend)
    return Diagnosis(
        Fault.REFUSED,
        f"{facts.uri} refused the INVITE ({facts.said})",
        "ask whoever runs it for the meaning of that status; its log says more",
    )
