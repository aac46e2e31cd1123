"""Each rule of the diagnosis: what is recorded, and the cause that it tells; or none, where that is not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from routing.diagnosis import diagnose
from routing.outcomes import Mode, Outcome
from routing.transfer_record import Attempt, Destination, Method, Srtp, Transfer

URI = "sip:desk@192.0.2.9"
SENDER = '"Mrs Roe" <sip:+491701@trunk.example>'


@dataclass
class Case:
    """What a transfer with one attempt records."""

    rule: str | None
    outcome: Outcome
    status: int
    reason: str = "Whatever"
    theirs: bool = True
    words: tuple[str, ...] = ()
    uri: str = URI
    attempt: dict[str, Any] = field(default_factory=dict)
    transfer: dict[str, Any] = field(default_factory=dict)


def failed(case: Case) -> Transfer:
    attempt = {"started_at": 100.0, "ended_at": 120.0, "leg": 1, "theirs": case.theirs, **case.attempt}
    values = {
        "attempts": (Attempt(uri=case.uri, status=case.status, reason=case.reason, **attempt),),
        "offered": ("PCMU", "PCMA"),
        "ended_at": 121.0,
        "target": "support",
        **case.transfer,
    }
    return Transfer(
        id="1",
        mode=Mode.BLIND,
        source="refer",
        endpoints=(Destination(uri=case.uri, ring_timeout=20.0),),
        sender=SENDER,
        requested_at=99.0,
        outcome=case.outcome,
        status=case.status,
        reason=case.reason,
        **values,
    )


def ours(rule: str | None, outcome: Outcome, status: int, reason: str, *words: str, **more: Any) -> Case:
    return Case(rule, outcome, status, reason, theirs=False, words=words, **more)


def theirs(rule: str | None, outcome: Outcome, status: int, *words: str, **more: Any) -> Case:
    return Case(rule, outcome, status, words=words, **more)


GONE, AUTH, MEDIA, LATE = Outcome.UNREACHABLE, Outcome.AUTH_FAILED, Outcome.MEDIA_FAILED, Outcome.NO_ANSWER
TIMEOUT = "Request Timeout"
NAMED = "sip:desk@pbx.example"
SECURE = "sips:desk@pbx.example"
RESTED = Attempt(uri="sip:old@192.0.2.1", status=503, reason="rested after 408 x", started_at=1.0, ended_at=1.0)
PENDING = Attempt(uri=URI, status=491, reason="Whatever", started_at=1.0, ended_at=2.0, leg=1, theirs=True)
REFER, REPORTED = {"method": Method.REFER, "leg": 0}, {"reported": True}
BUSY = Attempt(uri=URI, status=486, reason="Whatever", started_at=1.0, ended_at=2.0, leg=1, theirs=True)

CASES = [
    ours(
        "caller_hung_up",
        Outcome.CALLER_HUNG_UP,
        487,
        "Request Terminated",
        "22 s after",
        "cause 16",
        transfer={"cause": 16},
    ),
    ours("caller_hung_up", Outcome.CALLER_HUNG_UP, 487, "Request Terminated", "asked for", transfer={"ended_at": None}),
    ours("cancelled", Outcome.CANCELLED, 487, "Request Terminated"),
    ours("clock_skew", GONE, 408, "TLS: certificate is not yet valid", "pbx.example", "clock", uri=SECURE),
    ours("certificate_expired", GONE, 408, "TLS: certificate has expired", "renew", uri=SECURE),
    ours("certificate_name", GONE, 408, "TLS: hostname mismatch", "another host", uri=SECURE),
    ours("certificate_name", GONE, 408, "TLS: IP address mismatch", uri=SECURE),
    ours("certificate_authority", GONE, 408, "TLS: unable to get local issuer certificate", "--ca-file", uri=SECURE),
    ours("certificate_authority", GONE, 408, "TLS: self-signed certificate", uri=SECURE),
    ours("certificate", GONE, 408, "TLS: certificate revoked", "revoked", uri=SECURE),
    ours("dns", GONE, 503, "Service Unavailable", "DNS gives no usable address for pbx.example", uri=NAMED),
    ours("no_route", GONE, 503, "Service Unavailable", "ip route get 192.0.2.9"),
    ours("limit", Outcome.BUSY, 486, "limit of 2 calls reached", "limit of 2", "--max-calls"),
    ours("not_registered", LATE, 480, "Registered nowhere", "handoff users list"),
    ours("no_such_user", Outcome.NOT_FOUND, 404, "No such user", "handoff users add"),
    ours("srtp", MEDIA, 488, "The answer has no keys for SRTP, which is required", "--srtp optional"),
    ours("srtp", MEDIA, 488, "The answer has no fingerprint for DTLS, which is required"),
    ours(
        "codec",
        MEDIA,
        488,
        "The answer has no codec that was offered",
        "GSM",
        "PCMU PCMA",
        attempt={"codecs": ("GSM",)},
    ),
    ours(
        "codec",
        MEDIA,
        488,
        "The answer has no codec that was offered",
        "unknown",
        transfer={"attempts": (), "offered": ()},
    ),
    ours("rtpengine", MEDIA, 500, "rtpengine no longer has the caller's media", "no longer has", "handoff doctor"),
    ours(
        "too_large",
        GONE,
        408,
        TIMEOUT,
        "1301 bytes by UDP;",
        "transport=tcp",
        uri=f"{URI};transport=udp",
        attempt={"size": 1301},
    ),
    ours("too_large", GONE, 408, TIMEOUT, "1400 bytes by UDP, after it could not be sent", attempt={"size": 1400}),
    ours("tls", GONE, 408, TIMEOUT, "openssl s_client", uri=SECURE),
    ours("tcp", GONE, 408, TIMEOUT, "TCP", uri=f"{URI};transport=tcp"),
    ours("no_reply", GONE, 408, TIMEOUT, "did not reply", attempt={"size": 1300}),
    ours("no_reply", GONE, 408, TIMEOUT, uri=f"{URI};transport=udp"),
    ours(
        "ring_timeout", LATE, 408, TIMEOUT, "after 3.0 s", "for 17.0 s", "--ring-timeout", attempt={"ringing_at": 103.0}
    ),
    ours(
        "ring_timeout",
        LATE,
        408,
        TIMEOUT,
        "--hunt-timeout ended it after 25 s",
        attempt={"ringing_at": 103.0},
        transfer={"hunt_timeout": 25.0, "invited_at": 90.0},
    ),
    ours(
        "ring_timeout",
        LATE,
        408,
        TIMEOUT,
        "--ring-timeout",
        attempt={"ringing_at": 103.0},
        transfer={"hunt_timeout": 60.0},
    ),
    ours("never_rang", LATE, 408, TIMEOUT, "did not ring", "20.0 s"),
    ours("no_key", LATE, 480, "Temporarily Unavailable", "voicemail", attempt={"answered_at": 105.0}),
    ours("declined", Outcome.REJECTED, 603, "Decline", "did not press", attempt={"answered_at": 105.0}),
    theirs("declined", Outcome.REJECTED, 603, "hung up", attempt={"answered_at": 105.0}),
    theirs("declined", Outcome.REJECTED, 603, "declined the call"),
    theirs("no_login", AUTH, 401, "targets set support --user USER --secret-prompt"),
    theirs("wrong_login", AUTH, 407, "does not take the login", "targets set support", attempt={"challenged": 1}),
    theirs("wrong_login", AUTH, 407, "targets set NAME", attempt={"challenged": 1}, transfer={"target": URI}),
    theirs("stale_nonce", AUTH, 401, "each of our 4 answers", "clocks", attempt={"challenged": 4}),
    theirs("codec", MEDIA, 488, "PCMU PCMA, not encrypted", "--codec"),
    theirs("codec", MEDIA, 606, "with or without SRTP", transfer={"srtp": Srtp.OPTIONAL}),
    theirs("codec", MEDIA, 415, "codecs as usual", transfer={"offered": ()}),
    theirs("srtp", MEDIA, 488, "--srtp required", transfer={"srtp": Srtp.REQUIRED}),
    theirs("srtp", MEDIA, 488, "--srtp required", uri=SECURE),
    theirs("srtp", MEDIA, 488, "--srtp dtls", uri=f"{URI};transport=ws"),
    theirs("codec", MEDIA, 488, uri=SECURE, transfer={"srtp": Srtp.OFF}),
    theirs("forbidden", Outcome.NOT_ALLOWED, 403, SENDER, "--caller-id"),
    theirs("caller_id", Outcome.REJECTED, 433, "refuses the caller ID", SENDER),
    theirs("declined", Outcome.NOT_ALLOWED, 403, "phone behind it", "cause 21", attempt={"cause": 21}),
    theirs("away", Outcome.NOT_FOUND, 404, "no way", "is registered", attempt={"cause": 3}),
    theirs("given_up_there", Outcome.REJECTED, 603, "ended the call itself", attempt={"cause": 16}),
    theirs("declined", Outcome.REJECTED, 603, "declined the call", attempt={"cause": 21}),
    theirs("congestion", GONE, 503, "no free channel", "cause 34", attempt={"cause": 34}),
    theirs("not_found", Outcome.NOT_FOUND, 404),
    theirs("loop", Outcome.REJECTED, 482, "circle"),
    theirs("loop", Outcome.REJECTED, 483),
    theirs("redirected", Outcome.REJECTED, 302, "policy.dial_uris"),
    theirs("given_up_there", LATE, 408),
    theirs("given_up_there", LATE, 487),
    theirs("busy", Outcome.BUSY, 486),
    theirs("away", LATE, 480),
    theirs("glare", Outcome.REJECTED, 491, "pending"),
    theirs("too_large", GONE, 513),
    theirs("out_of_order", GONE, 503, attempt={"cause": 41}),
    theirs("server_error", GONE, 500),
    theirs("refused", Outcome.REJECTED, 420, "420 Whatever"),
    theirs("rested", Outcome.BUSY, 486, "sip:old@192.0.2.1", "408 x", transfer={"attempts": (RESTED, BUSY)}),
    theirs("glare_storm", Outcome.REJECTED, 491, "2 requests", "14.1", transfer={"attempts": (PENDING, PENDING)}),
    theirs("refer_refused", Outcome.REJECTED, 603, "nobody was called", "--method invite", attempt=REFER),
    theirs("glare", Outcome.REJECTED, 491, "when it got the REFER", attempt=REFER),
    theirs("refer_failed", Outcome.BUSY, 486, "own call", "it is busy", "--fallback", attempt=REFER | REPORTED),
    theirs("refer_failed", Outcome.AUTH_FAILED, 407, "could not be reached", attempt=REFER | REPORTED),
    theirs("refer_login", AUTH, 407, "[[trunks]]", attempt=REFER),
    ours("refer_silent", GONE, 408, TIMEOUT, "did not answer", "handoff trunks", attempt=REFER),
    ours("refer_silent", LATE, 408, TIMEOUT, "stopped to report", attempt=REFER | REPORTED),
    ours(None, GONE, 408, TIMEOUT, transfer={"attempts": ()}),
    ours(None, Outcome.REJECTED, 500, "x", attempt={"answered_at": 105.0, "codecs": ()}, transfer={"attempts": ()}),
    ours(None, Outcome.INTERNAL, 500, "x"),
    ours(None, Outcome.INTERNAL, 500, "x", attempt={"answered_at": 105.0}),
    ours(None, LATE, 480, "x", transfer={"attempts": ()}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.status}")
def test_a_failed_transfer_has_this_cause(case: Case) -> None:
    found = diagnose(failed(case))
    assert (found.rule if found else None) == case.rule
    for word in case.words:
        assert word in str(found)
    if found:
        assert found.cause
        assert found.mend
        assert not found.mend.endswith(".")


def test_nothing_is_told_of_what_is_under_way() -> None:
    transfer = failed(CASES[0]).model_copy(update={"outcome": None, "status": None, "reason": None})
    assert diagnose(transfer) is None
