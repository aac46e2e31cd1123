"""`handoff trace` asks the sidecars of all nodes, and says clearly why there is nothing to show."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from cli.sidecar import give_trace
from cli.traces import asking
from routing.store import open_store
from tests.cli.test_traces import AGENT, CALLER, INVITE, OURS, SDP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cli.operator import Operator

DROPPED = "they are dropped 60 minutes after the call's last message, or when memory is short"
ONE, OTHER, THIRD = "aaaa000000000001", "aaaa000000000002", "bbbb000000000003"


def told(at: float, first: str, peer: tuple[str, int], *, sent: bool, node: str) -> dict[str, Any]:
    """Give a message as a sidecar does."""
    ends = (OURS, peer) if sent else (peer, OURS)
    fields = ["Via: SIP/2.0/UDP h;branch=x", "From: <sip:x@h>;tag=c", "To: <sip:y@h>;tag=t", "CSeq: 1 INVITE", SDP]
    text = "\r\n".join([first, "Call-ID: abc", *fields, "", ""])
    place = {"from": list(ends[0]), "to": list(ends[1]), "transport": "udp"}
    return {"at": at, "node": node, "sent": sent, "text": text, **place}


class FakeSidecar:
    """Answers as the sidecar of a node with these calls, within the context; with None, not at all."""

    def __init__(self, operator: Operator, node: str, calls: Mapping[str, list[dict[str, Any]]] | None) -> None:
        self._operator, self._node, self._calls = operator, node, calls
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        with self._operator.store() as store:
            store.beat_sidecar(self._node, {})
        if self._calls is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._calls is not None:
            self._thread.join()

    def _run(self) -> None:
        with open_store(self._operator.url, deadline=5.0) as store:
            while not self._stop.is_set():
                request = store.take_speech(self._node, 0.05)
                if request:
                    store.answer_command(request["id"], self._answer(request["call"]))

    def _answer(self, prefix: str) -> dict[str, Any]:
        assert self._calls is not None
        if "off" in self._calls:
            return give_trace(None, {"call": prefix})
        found = sorted(call for call in self._calls if call.startswith(prefix))
        answer = {"ok": True, "ids": found, "mode": "transfers", "minutes": 60.0, "seen": 1}
        return answer if len(found) != 1 else {**answer, "left_out": 0, "messages": self._calls[found[0]]}


def began(node: str) -> list[dict[str, Any]]:
    return [told(1.0, INVITE, CALLER, sent=False, node=node), told(1.5, INVITE, AGENT, sent=True, node=node)]


def test_what_two_nodes_handled_is_one_trace_also_when_one_of_them_is_dead(operator: Operator) -> None:
    ended = [told(3.0, "BYE sip:a@b SIP/2.0", CALLER, sent=False, node="node2")]
    with FakeSidecar(operator, "node1", {ONE: began("node1")}), FakeSidecar(operator, "node2", {ONE: ended}):
        result = operator.types("trace", ONE)
        assert (result.exit_code, result.stderr) == (0, "")
        assert [line.rpartition("  ")[2] for line in result.stdout.splitlines()[3:]][-1] == "by node2"
        assert result.stdout.count("by node") == 1
        whole = operator.types("trace", ONE[:9], "--full").stdout
        assert "  by node1\n" in whole
        assert "  by node2\n" in whole
        messages = operator.reads("trace", ONE)["messages"]
        assert [message["node"] for message in messages] == ["node1", "node1", "node2"]


def test_a_node_that_has_several_calls_that_begin_so_is_asked_again_for_the_one_that_is_meant(
    operator: Operator,
) -> None:
    with FakeSidecar(operator, "node1", {ONE: began("node1"), OTHER: began("node1"), THIRD: began("node1")}):
        assert operator.reads("trace", "bb")["call"] == THIRD
        assert operator.fails(2, "trace", "aa") == (f"Error: 2 calls begin with aa: {ONE}, {OTHER}; give more digits\n")


def test_a_call_that_is_dropped_between_two_questions_is_said_to_be(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, Any]] = [{"ok": True, "ids": [ONE]}, {"ok": True, "ids": []}]
    monkeypatch.setattr(asking, "ask_sidecars", lambda *_: ({"node1": answers.pop(0)}, []))
    assert "have just been dropped; trace.megabytes keeps more" in operator.fails(1, "trace", ONE)


def test_a_sidecar_that_is_missing_is_named_whether_there_is_something_to_show_or_not(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER_WITHIN", 0.2)
    with operator.store() as store:
        store.beat("node3", {})
    with FakeSidecar(operator, "node1", {ONE: began("node1")}), FakeSidecar(operator, "node2", None):
        shown = operator.types("trace", ONE)
        assert shown.exit_code == 0
        assert shown.stderr == (
            "Warning: node node3 has no sidecar: what it handled is not shown\n"
            "Warning: the sidecar of node node2 did not answer: what it handled is not shown\n"
        )
        error = operator.fails(1, "trace", THIRD)
        assert "(node node3 has no sidecar; the sidecar of node node2 did not answer)" in error


@pytest.mark.parametrize(
    ("calls", "mode", "hint"),
    [
        ({}, "transfers", f'{DROPPED}; a call without a transfer is kept only with trace.mode = "all"'),
        ({}, "all", DROPPED),
        ({"off": []}, "off", "node node1: it does not trace SIP: see [trace] in its configuration"),
    ],
)
def test_why_a_call_is_unknown_is_said(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, calls: dict[str, list[Any]], mode: str, hint: str
) -> None:
    sidecar = FakeSidecar(operator, "node1", calls)
    real = sidecar._answer
    monkeypatch.setattr(sidecar, "_answer", lambda prefix: {**real(prefix), "mode": mode})
    with sidecar:
        assert operator.fails(1, "trace", THIRD) == f"Error: no SIP messages of a call {THIRD} are kept ({hint})\n"


def test_without_any_sidecar_it_says_what_to_start(operator: Operator) -> None:
    assert "(no sidecar is alive: start `handoff up`)" in operator.fails(1, "trace", ONE)
    assert "is no id of a call" in operator.fails(1, "trace", "xyz")
    assert "exclude one another" in operator.fails(2, "trace", ONE, "--svg", "--mermaid")


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left_half_written(
    operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with FakeSidecar(operator, "node1", {ONE: began("node1")}):
        assert "cannot be written (No space left on device): name another place" in operator.fails(
            1, "trace", ONE, "--pcap", "/dev/full"
        )
        for options in (["--pcap", str(tmp_path / "file" / "x.pcap")], ["--sipp", str(tmp_path / "file")]):
            assert "cannot be written (" in operator.fails(1, "trace", ONE, *options)
        assert "cannot be written (Is a directory)" in operator.fails(1, "trace", ONE, "--pcap", str(tmp_path))
    assert (tmp_path / "file").read_text() == "mine"
