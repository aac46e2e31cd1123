"""The words for what a transfer is and how it ended; the same in the command line, config, metrics and log."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What the person who answers hears before the caller."""

    BLIND = "blind"
    MESSAGE = "message"
    SUMMARY = "summary"


class Outcome(StrEnum):
    """How a transfer ended: `connected`, or exactly one reason why not."""

    CONNECTED = "connected"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not_found"
    AUTH_FAILED = "auth_failed"
    MEDIA_FAILED = "media_failed"
    NOT_ALLOWED = "not_allowed"
    CALLER_HUNG_UP = "caller_hung_up"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


_BY_STATUS = {
    401: Outcome.AUTH_FAILED,
    403: Outcome.NOT_ALLOWED,
    404: Outcome.NOT_FOUND,
    407: Outcome.AUTH_FAILED,
    408: Outcome.NO_ANSWER,
    410: Outcome.NOT_FOUND,
    415: Outcome.MEDIA_FAILED,
    480: Outcome.NO_ANSWER,
    484: Outcome.NOT_FOUND,
    485: Outcome.NOT_FOUND,
    486: Outcome.BUSY,
    487: Outcome.NO_ANSWER,
    488: Outcome.MEDIA_FAILED,
    600: Outcome.BUSY,
    604: Outcome.NOT_FOUND,
    606: Outcome.MEDIA_FAILED,
}


def outcome_of(status: int) -> Outcome:
    """Tell the outcome from the final status of an endpoint (RFC 3261 section 21).

    What is not named there by itself is `unreachable` for 5xx, and `rejected` for the rest.
    """
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Outcome.UNREACHABLE if 500 <= status < 600 else Outcome.REJECTED
