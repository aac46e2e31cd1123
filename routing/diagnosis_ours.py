"""Rules for what no endpoint said: handoff gave it up, could not begin, or heard nothing."""

from __future__ import annotations

from routing.diagnosis_facts import Diagnosis, Facts, is_name
from routing.faults import Fault
from routing.outcomes import Outcome
from routing.uris import transport_of

ONE_DATAGRAM = 1300
"""Bytes of a request beyond which UDP may lose it (RFC 3261 section 18.1.1)."""
CERTIFICATE = "TLS: "
_CERTIFICATES = (
    (
        "not yet valid",
        Fault.CLOCK_SKEW,
        "is not valid yet by the clock of this node",
        "set the clock here (chronyc tracking tells), or have its owner look at the beginning of its certificate",
    ),
    (
        "expired",
        Fault.CERTIFICATE_EXPIRED,
        "has expired by the clock of this node",
        "have its owner renew it; if it is new, set the clock here",
    ),
    (
        "mismatch",
        Fault.CERTIFICATE_NAME,
        "is for another host",
        "call the endpoint by the name in its certificate, or have its owner get one with this name",
    ),
    (
        "issuer",
        Fault.CERTIFICATE_AUTHORITY,
        "is by a CA that is not trusted here, or its chain is not complete",
        "give the CA with --ca-file, or in tls.ca_file; or have its owner send the whole chain",
    ),
    (
        "signed",
        Fault.CERTIFICATE_AUTHORITY,
        "is signed by itself, or by a CA that is not trusted here",
        "give that certificate, or the CA, with --ca-file",
    ),
)


def caller_left(facts: Facts) -> Diagnosis | None:
    """Tell of a caller who did not wait."""
    if facts.outcome is not Outcome.CALLER_HUNG_UP:
        return None
    waited = (facts.transfer.ended_at or 0.0) - facts.transfer.requested_at
    why = "" if facts.transfer.cause is None else f" (Q.850 cause {facts.transfer.cause} in its BYE)"
    return Diagnosis(
        Fault.CALLER_HUNG_UP,
        f"the caller hung up, or was lost, {waited:.0f} s after the transfer was asked for{why}",
        "if callers often do so, let people be found sooner (--strategy all_at_once, a shorter --ring-timeout), "
        "or tell callers that they are handed over (--announce)",
    )


def cancelled(facts: Facts) -> Diagnosis | None:
    """Tell that somebody wanted it so."""
    if facts.outcome is not Outcome.CANCELLED:
        return None
    return Diagnosis(Fault.CANCELLED, "the transfer was cancelled as asked", "nothing is to be mended")


def certificate(facts: Facts) -> Diagnosis | None:
    """Tell what is wrong with a certificate, for which the connection was given up."""
    if facts.theirs or not facts.reason.startswith(CERTIFICATE):
        return None
    why = facts.reason.removeprefix(CERTIFICATE)
    for words, rule, what, mend in _CERTIFICATES:
        if words in why:
            return Diagnosis(rule, f"the certificate of {facts.host} {what} ({why})", mend)
    mend = "look at it: openssl s_client -connect HOST:PORT -showcerts; and at --ca-file and tls.ca_file"
    return Diagnosis(Fault.CERTIFICATE, f"the certificate of {facts.host} is refused ({why})", mend)


def not_sent(facts: Facts) -> Diagnosis | None:
    """Tell why the INVITE could not even be sent."""
    if facts.theirs or facts.referred or facts.attempt is None or facts.outcome is not Outcome.UNREACHABLE:
        return None
    if facts.status != 503:
        return None
    if is_name(facts.host):
        return Diagnosis(
            Fault.DNS,
            f"no INVITE could be sent to {facts.uri}: DNS gives no usable address for {facts.host}",
            f"look at the name: dig {facts.host}, and its SRV records; correct the endpoint or the DNS. If the name is "
            f"right, see that sip.listen has the transport and the kind of address (IPv4, IPv6) that it leads to",
        )
    return Diagnosis(
        Fault.NO_ROUTE,
        f"no INVITE could be sent to {facts.uri}: this node has no way to that address",
        f"see ip route get {facts.host}, and that sip.listen has the transport and the kind of address",
    )


def limit(facts: Facts) -> Diagnosis | None:
    """Tell of an endpoint that has all the calls that it may have."""
    if facts.theirs or not facts.reason.startswith("limit of "):
        return None
    return Diagnosis(
        Fault.LIMIT,
        f"{facts.uri} was not called, since it has as many calls from here as it may: {facts.reason}",
        "raise --max-calls if it can take more, or add endpoints or a --fallback",
    )


def user(facts: Facts) -> Diagnosis | None:
    """Tell why a user of ours cannot be called."""
    attempt = facts.attempt
    if attempt is None or facts.theirs or facts.referred or attempt.answered_at is not None:
        return None
    if facts.status == 480:
        return Diagnosis(
            Fault.NOT_REGISTERED,
            f"no phone of {facts.uri} is registered here ({facts.reason})",
            "start or log in a phone; handoff users list shows who is registered, where and until when",
        )
    if facts.status == 404:
        mend = "add it with handoff users add, or correct the endpoint of the target"
        return Diagnosis(Fault.NO_SUCH_USER, f"there is no user {facts.uri} here", mend)
    return None


def media(facts: Facts) -> Diagnosis | None:
    """Tell why who answered cannot be heard: a useless answer, no media, or rtpengine fails."""
    if facts.theirs or facts.outcome is not Outcome.MEDIA_FAILED:
        return None
    if "keys for SRTP" in facts.reason or "fingerprint" in facts.reason:
        return Diagnosis(
            Fault.SRTP,
            f"{facts.uri} answered with media that are not encrypted, but they must be ({facts.reason})",
            "have SRTP switched on there, or allow plain media with --srtp optional or off",
        )
    if "no codec that was offered" in facts.reason:
        answered = " ".join(facts.attempt.codecs) if facts.attempt else ""
        return Diagnosis(
            Fault.CODEC,
            f"{facts.uri} answered with {answered or 'no codec for voice'}, none of which it was offered "
            f"({' '.join(facts.transfer.offered) or 'the offer is unknown'})",
            "have one of the offered codecs switched on there, or offer what it has with --codec",
        )
    return Diagnosis(
        Fault.RTPENGINE,
        f"rtpengine could not do what was needed: {facts.said}",
        "handoff doctor checks every rtpengine; look at its log, and whether it was started anew",
    )


def silence(facts: Facts) -> Diagnosis | None:
    """Tell over what no response came at all."""
    if facts.theirs or facts.referred or facts.attempt is None or facts.outcome is not Outcome.UNREACHABLE:
        return None
    transport = transport_of(facts.uri)
    if facts.attempt.size > ONE_DATAGRAM:
        tried = "" if transport else ", after it could not be sent by TCP"
        return Diagnosis(
            Fault.TOO_LARGE,
            f"{facts.uri} did not reply to an INVITE of {facts.attempt.size} bytes by UDP{tried}; by UDP, anything "
            f"over {ONE_DATAGRAM} is sent in pieces, which firewalls drop",
            "have it take SIP by TCP, and let it go so (;transport=tcp, or none; sip.listen with tcp); or carry less: "
            "fewer --header, --deliver speech",
        )
    if transport in {"tls", "wss"}:
        return Diagnosis(
            Fault.TLS,
            f"no TLS connection to {facts.uri} came about, or nobody replied over it",
            f"try it: openssl s_client -connect {facts.host}:5061, with the port of the endpoint; if that fails, open "
            f"the firewall, correct the port, or see which versions of TLS it takes",
        )
    if transport in {"tcp", "ws"}:
        mend = "see that it listens on TCP at that port, and that no firewall drops it; or use ;transport=udp"
        return Diagnosis(Fault.TCP, f"no TCP connection to {facts.uri} came about, or nobody replied over it", mend)
    return Diagnosis(
        Fault.NO_REPLY,
        f"{facts.uri} did not reply at all within sip.no_reply_timeout",
        "see that it runs, that address and port are right, and that no firewall drops SIP between here and there",
    )


def nobody_answers(facts: Facts) -> Diagnosis | None:
    """Tell which of our own timers ended the ringing, and for how long it rang."""
    attempt, transfer = facts.attempt, facts.transfer
    if attempt is None or facts.theirs or facts.referred or (facts.status, facts.outcome) != (408, Outcome.NO_ANSWER):
        return None
    waited = attempt.ended_at - attempt.started_at
    since = transfer.invited_at or attempt.started_at
    if transfer.hunt_timeout and attempt.ended_at - since >= transfer.hunt_timeout:
        limited, setting = f"--hunt-timeout ended it after {transfer.hunt_timeout:g} s for all", "--hunt-timeout"
    else:
        limited, setting = f"--ring-timeout ended it after {waited:.1f} s", "--ring-timeout"
    if attempt.ringing_at is None:
        return Diagnosis(
            Fault.NEVER_RANG,
            f"{facts.uri} took the INVITE but did not ring: {limited}",
            f"find out there why no phone rings (nobody logged in, a queue, a slow trunk); or raise {setting}",
        )
    return Diagnosis(
        Fault.RING_TIMEOUT,
        f"nobody answered: {facts.uri} began to ring after {attempt.ringing_at - attempt.started_at:.1f} s and rang "
        f"for {attempt.ended_at - attempt.ringing_at:.1f} s, then {limited}",
        f"if people would have answered, raise {setting}; else add endpoints or a --fallback",
    )


def not_taken(facts: Facts) -> Diagnosis | None:
    """Tell why the caller did not come on, though somebody or something answered."""
    attempt = facts.attempt
    if attempt is None or attempt.answered_at is None:
        return None
    if facts.outcome is Outcome.NO_ANSWER:
        return Diagnosis(
            Fault.NO_KEY,
            f"{facts.uri} answered, but nobody pressed the key that takes the call: perhaps a voicemail box",
            "see that the phone sends keys as RTP events or SIP INFO; --accept says which key, and how long",
        )
    if facts.outcome is Outcome.REJECTED:
        did = "hung up before the caller came on" if facts.theirs else "did not press the key that takes the call"
        return Diagnosis(Fault.DECLINED, f"the person at {facts.uri} answered, but {did}", "nothing is to be mended")
    return None


OURS = (
    caller_left,
    cancelled,
    certificate,
    not_sent,
    limit,
    user,
    media,
    silence,
    nobody_answers,
    not_taken,
)
