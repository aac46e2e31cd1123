"""What was learned of a trunk, and whether a REFER is worth a try."""

from __future__ import annotations

import pytest

from routing.trunks import ASK_AGAIN, Learned, Verdict

NOW = 1_000_000.0


@pytest.mark.parametrize("verdict", [Verdict.REFUSES, Verdict.SILENT])
def test_a_side_that_did_not_do_it_is_asked_again_a_day_later(verdict: Verdict) -> None:
    learned = Learned(verdict=verdict, status=403, at=NOW)
    assert not learned.advises(NOW + ASK_AGAIN - 1)
    assert learned.advises(NOW + ASK_AGAIN)


def test_a_side_that_did_it_is_always_asked() -> None:
    assert Learned(verdict=Verdict.WORKS, status=200, at=NOW).advises(NOW)


@pytest.mark.parametrize("data", [None, b"{", b'{"verdict": "loves"}'])
def test_what_cannot_be_read_is_not_known(data: bytes | None) -> None:
    assert Learned.read(data) is None


def test_it_is_read_back_as_it_was_written() -> None:
    learned = Learned(verdict=Verdict.SILENT, status=408, at=NOW)
    assert Learned.read(learned.model_dump_json().encode()) == learned
