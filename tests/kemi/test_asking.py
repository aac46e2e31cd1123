"""Phones that somebody asks for: they get OPTIONS by their own way, and whoever asked is told what they reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kemi.asking import ask_phone, tell_reply
from routing.store import MemoryStore, StoreUnavailable

if TYPE_CHECKING:
    from kemi.outgoing import Outgoing
    from tests.fake_ksr import FakeKsr

PHONE, HOP = "sip:alice@10.0.0.5:5060", "sip:192.0.2.7:40000;transport=tcp"


class Sending:
    """Stands in for what sends OPTIONS."""

    def __init__(self, *, works: bool) -> None:
        self.works = works
        self.sent: list[tuple[str, str, str]] = []

    def probe(self, uri: str, hop: str, *, call_id: str) -> bool:
        self.sent.append((uri, hop, call_id))
        return self.works


@pytest.mark.parametrize("works", [True, False])
def test_a_phone_is_asked_by_its_way(works: bool) -> None:
    sending = Sending(works=works)
    assert ask_phone(cast("Outgoing", sending), {"id": "c1", "uri": PHONE, "hop": HOP}) is works
    assert sending.sent == [(PHONE, HOP, "asked-c1")]


def replied(ksr: FakeKsr, status: int, call_id: str = "asked-c1") -> None:
    ksr.receive(f"SIP/2.0 {status} Whatever\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n\r\n")


@pytest.mark.parametrize(("status", "told"), [(200, {"ok": True, "status": 200}), (100, None)])
def test_its_final_reply_is_told(ksr: FakeKsr, status: int, told: object) -> None:
    store = MemoryStore()
    replied(ksr, status)
    assert tell_reply(store)
    assert store.await_answer("c1", 0.0) == told


def test_replies_to_others_are_left_to_others(ksr: FakeKsr) -> None:
    replied(ksr, 200, "probe-c1")
    assert not tell_reply(MemoryStore())


def test_a_reply_that_cannot_be_told_is_logged(ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()

    def away(*_: object) -> None:
        raise StoreUnavailable("redis", "it is away")

    monkeypatch.setattr(store, "answer_command", away)
    replied(ksr, 200)
    assert tell_reply(store)
    assert ksr.log[0][1].startswith("command=c1 its answer is lost: ")
