"""Each final status that an endpoint can send has one outcome."""

from __future__ import annotations

import pytest

from routing.outcomes import Outcome, outcome_of

CASES = {
    300: "rejected", 301: "rejected", 302: "rejected", 380: "rejected",
    400: "rejected", 401: "auth_failed", 403: "not_allowed", 404: "not_found", 407: "auth_failed",
    408: "no_answer", 410: "not_found", 415: "media_failed", 420: "rejected", 480: "no_answer",
    484: "not_found", 485: "not_found", 486: "busy", 487: "no_answer", 488: "media_failed",
    500: "unreachable", 502: "unreachable", 503: "unreachable", 504: "unreachable", 580: "unreachable",
    600: "busy", 603: "rejected", 604: "not_found", 606: "media_failed", 607: "rejected",
}  # fmt: skip


@pytest.mark.parametrize(("status", "outcome"), CASES.items())
def test_a_status_has_its_outcome(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome


def test_no_failure_is_taken_for_a_success() -> None:
    assert Outcome.CONNECTED not in {outcome_of(status) for status in range(300, 700)}
