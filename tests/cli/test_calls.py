"""`handoff calls`, typed against a real Redis; a thread plays the node."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli import calls as calls_module
from cli.main import handoff
from routing.outcomes import Mode, Outcome
from routing.records import Call, State
from tests.cli.handed_over import ID, OTHER, done, under_way
from tests.cli.operator import Node, Operator
from tests.routing.store_help import a_call, a_dialog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from routing.transfer_record import Transfer
    from tests.routing.store_help import RedisServer

BEGUN = {"ok": True, "transfer": f"{ID}-1", "target": "support"}


def keep(operator: Operator, *calls: Call) -> None:
    with operator.store() as store:
        for call in calls:
            store.create(call)


def finish(operator: Operator, transfer: Transfer, *, forget: bool = False) -> None:
    with operator.store() as store, store.lease(ID) as lease:
        if forget:
            lease.forget((transfer,))
        else:
            call = lease.call.model_copy(update={"transfer": None, "history": (transfer,), "state": State.TALKING})
            lease.save(call, finished=(transfer,))


def test_active_calls_are_listed_with_what_becomes_of_them(operator: Operator) -> None:
    keep(operator, under_way(), a_call(OTHER))
    listed = {call["id"]: call for call in operator.reads("calls", "list")}
    assert (listed[ID]["state"], listed[ID]["transfer"]["target"]) == ("ringing", "support")
    assert listed[OTHER]["caller"]["address"] == "<sip:alice@example.com>"
    lines = operator.types("calls", "list").stdout.splitlines()
    assert lines[0].split() == ["CALL", "STATE", "AGE", "CALLER", "POOL", "NODE", "TRANSFER"]
    assert lines[1].split()[:2] == [OTHER, "talking"]
    assert lines[2].endswith("<sip:alice@example.com>  sales  node1  to support")


def test_without_calls_the_list_is_empty_and_says_so(operator: Operator) -> None:
    assert operator.reads("calls", "list") == []
    assert operator.types("calls", "list").stderr == "no active calls\n"


def test_a_record_that_cannot_be_read_is_told_and_the_others_are_listed(operator: Operator, redis: RedisServer) -> None:
    keep(operator, a_call(ID), a_call(OTHER))
    key = next(key.decode() for key in redis.ask("KEYS", "*") if key.endswith(f":call:{ID}".encode()))
    redis.ask("SET", key, b"rubbish")
    result = operator.types("calls", "list")
    assert result.exit_code == 1
    assert OTHER in result.stdout
    assert f"the stored record of call {ID} cannot be read" in result.stderr
    assert "cannot be read" in operator.fails(1, "calls", "show", ID)


def test_what_a_peer_sent_cannot_steer_the_terminal(operator: Operator) -> None:
    keep(operator, a_call(ID, caller=a_dialog("alice").model_copy(update={"remote": '"\x1b[2J[bold]" <sip:a@[::1]>'})))
    for command in (("list",), ("show", ID)):
        output = operator.types("calls", *command).stdout
        assert '"?[2J[bold]" <sip:a@[::1]>' in output


def test_a_call_is_shown_with_its_parties_and_the_history_of_its_transfers(operator: Operator) -> None:
    keep(operator, under_way())
    finish(operator, done(Outcome.BUSY, 486, "Busy Here"))
    shown = operator.reads("calls", "show", "0123")
    assert (shown["active"], shown["state"], shown["target"], shown["transfer"]) == (True, "talking", None, None)
    assert shown["history"][0]["outcome"] == "busy"
    assert shown["history"][0]["attempts"][0]["status"] == 486
    text = operator.types("calls", "show", "0123").stdout
    assert "busy" in text
    assert "486 Busy Here" in text
    assert "sip:bob@example.com" in text
    why = shown["history"][0]["diagnosis"]
    assert f"why   {why['cause']}" in text
    assert f"mend  {why['mend']}" in text
    assert f"handoff trace {ID}, until 60 minutes after the last message of the call" in text


def test_the_agent_shown_is_who_took_the_call_and_not_the_number_dialled(operator: Operator) -> None:
    keep(operator, a_call(ID))
    fields = dict(line.split(maxsplit=1) for line in operator.types("calls", "show", ID).stdout.splitlines())
    assert (fields["agent"], fields["caller"]) == ("sip:robot@192.0.2.7:5060", "<sip:alice@example.com>")
    assert operator.reads("calls", "list")[0]["agent"]["contact"] == "sip:robot@192.0.2.7:5060"


def test_the_error_for_an_unknown_call_says_which_ended_calls_are_kept(operator: Operator) -> None:
    assert "a call that ends without a transfer is not kept" in operator.fails(1, "calls", "show", "ffffffff")


def test_a_call_that_has_ended_is_found_in_the_call_log(operator: Operator) -> None:
    keep(operator, under_way())
    finish(operator, done(Outcome.CALLER_HUNG_UP, 487, "Request Terminated"), forget=True)
    shown = operator.reads("calls", "show", "0123")
    assert (shown["id"], shown["active"]) == (ID, False)
    assert [transfer["outcome"] for transfer in shown["history"]] == ["caller_hung_up"]
    text = operator.types("calls", "show", ID).stdout
    assert "ended" in text
    assert "caller_hung_up" in text
    assert f"log    handoff log show {ID}" in text
    assert f"trace  handoff trace {ID}, until 60 minutes" in text


@pytest.mark.parametrize("words", [("show", "fff"), ("transfer", "fff", "support"), ("cancel", "fff")])
def test_an_unknown_call_is_said_to_be_none(operator: Operator, words: tuple[str, ...]) -> None:
    assert "there is no active call fff" in operator.fails(1, "calls", *words)


@pytest.mark.parametrize("words", [("show", "01"), ("transfer", "01", "support"), ("cancel", "01")])
def test_a_prefix_of_several_calls_is_refused_and_they_are_named(operator: Operator, words: tuple[str, ...]) -> None:
    keep(operator, a_call(ID), a_call(OTHER))
    error = operator.fails(2, "calls", *words)
    assert f"2 calls begin with 01: {ID}, {OTHER}; give more digits" in error


@pytest.mark.parametrize("prefix", ["", "xyz", "01\n", f"{ID}0", "\udcff"])
def test_what_is_no_call_id_is_not_found(operator: Operator, prefix: str) -> None:
    assert "is no id of a call" in operator.fails(1, "calls", "show", prefix)


def test_a_transfer_is_begun_by_the_node_that_has_the_call(operator: Operator, redis: RedisServer) -> None:
    keep(operator, a_call(ID))
    with Node(redis, lambda _: BEGUN) as node:
        output = operator.types("calls", "transfer", "0123", "support").output
        data = operator.reads("calls", "transfer", "0123", "sip:bob@example.com")
    assert output == f"transfer {ID}-1 to support begun\n"
    assert data == {"call": ID, "transfer": f"{ID}-1", "target": "support"}
    asked = [(command["kind"], command["call"], command["target"]) for command in node.commands]
    assert asked == [("transfer", ID, "support"), ("transfer", ID, "sip:bob@example.com")]
    assert node.commands[0]["id"] != node.commands[1]["id"]


def test_mode_message_and_summary_go_to_the_node_as_far_as_they_are_given(
    operator: Operator, redis: RedisServer
) -> None:
    keep(operator, a_call(ID))
    with Node(redis, lambda _: BEGUN) as node:
        operator.reads("calls", "transfer", ID, "support", "--mode", "message", "--message", "A caller\nwaits")
        result = operator.types("calls", "transfer", ID, "support", "--summary", "-", stdin="Zürich,\r\nurgent\n")
    assert result.exit_code == 0
    given = [{name: command.get(name) for name in ("mode", "message", "summary")} for command in node.commands]
    assert given == [
        {"mode": "message", "message": "A caller waits", "summary": None},
        {"mode": None, "message": None, "summary": "Zürich, urgent"},
    ]


def test_a_summary_is_given_to_the_node_while_it_rings(operator: Operator, redis: RedisServer) -> None:
    keep(operator, under_way())
    with Node(redis, lambda _: {"ok": True}) as node:
        output = operator.types("calls", "summary", "0123", "It is urgent").output
        result = operator.types("calls", "summary", ID, "-", "--json", stdin="Two\nlines")
    assert output == f"summary of {ID} given\n"
    assert json.loads(result.stdout) == {"call": ID, "summary": "Two lines"}
    given = [(command["kind"], command["call"], command["text"]) for command in node.commands]
    assert given == [("summary", ID, "It is urgent"), ("summary", ID, "Two lines")]


BAD = {
    "a mode": (("transfer", ID, "support", "--mode", "sumary"), "'sumary' is not a mode; did you mean summary?"),
    "a message too long": (("transfer", ID, "support", "--message", "x" * 1001), "the message has 1001 characters"),
    "no message": (("transfer", ID, "support", "--message", " "), "the message is empty"),
    "a control character": (("summary", ID, "a\x1bb"), "the summary has the control character U+001B"),
    "an empty summary": (("summary", ID, ""), "the summary is empty"),
    "a message that nobody hears": (
        ("transfer", ID, "support", "--mode", "blind", "--message", "A call."),
        "--message has no effect in the mode blind",
    ),
    "a summary that nobody hears": (
        ("transfer", ID, "support", "--mode", "message", "--summary", "A call."),
        "--summary has no effect in the mode message",
    ),
    "stdin twice": (
        ("transfer", ID, "support", "--message", "-", "--summary", "-"),
        "only one text can be read from stdin",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_texts_that_cannot_be_used_are_refused_before_anything_is_sent(operator: Operator, kind: str) -> None:
    words, sentence = BAD[kind]
    keep(operator, a_call(ID))
    assert sentence in operator.fails(2, "calls", *words)
    with operator.store() as store:
        assert store.take_commands("node1") == []


def test_what_is_no_utf_8_at_stdin_is_refused(operator: Operator) -> None:
    result = CliRunner().invoke(handoff, ["calls", "summary", ID, "-"], input=b"a\xff")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: the summary is not UTF-8 at byte 2; write it as UTF-8 text\n",
    )
    del operator


def test_a_briefing_is_shown_in_plain_words_with_the_summary(operator: Operator) -> None:
    keep(operator, under_way(State.BRIEFING, mode=Mode.SUMMARY, summary="It is urgent"))
    text = operator.types("calls", "show", ID).stdout
    assert "briefing (the person who answered is told what the call is about)" in text
    assert "summary   It is urgent" in text
    assert operator.reads("calls", "show", ID)["state"] == "briefing"


def test_a_refusal_of_the_node_is_told_in_its_words(operator: Operator, redis: RedisServer) -> None:
    keep(operator, a_call(ID))
    with Node(redis, lambda _: {"ok": False, "text": "there is no target suport"}):
        assert operator.fails(1, "calls", "transfer", ID, "suport") == "Error: there is no target suport\n"
        assert operator.fails(1, "calls", "cancel", ID) == "Error: there is no target suport\n"


def test_a_line_break_in_a_target_is_refused_before_anything_is_sent(operator: Operator) -> None:
    keep(operator, a_call(ID))
    assert "control character U+000D" in operator.fails(2, "calls", "transfer", ID, "support\r\nX: y")
    with operator.store() as store:
        assert store.take_commands("node1") == []


def test_cancelling_is_done_by_the_node(operator: Operator, redis: RedisServer) -> None:
    keep(operator, under_way())
    with Node(redis, lambda _: {"ok": True}) as node:
        assert operator.types("calls", "cancel", "0").output == f"transfer of {ID} cancelled\n"
    assert [(command["kind"], command["call"]) for command in node.commands] == [("cancel", ID)]


def test_a_node_that_does_not_answer_is_named_with_what_to_check(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "ANSWER_WITHIN", 0.1)
    keep(operator, a_call(ID))
    error = operator.fails(1, "calls", "cancel", ID)
    assert "node node1, which has this call, did not answer" in error
    assert "check that `handoff up` runs there" in error
    with operator.store() as store:
        store.beat("node1", {"at": time.time()})
    assert "it is alive, but busy" in operator.fails(1, "calls", "cancel", ID)


@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome.CONNECTED, 200), (Outcome.BUSY, 486), (Outcome.NO_ANSWER, 408)]
)
@pytest.mark.parametrize("forget", [False, True])
def test_waiting_ends_with_the_outcome_and_0_only_when_connected(
    operator: Operator, redis: RedisServer, outcome: Outcome, status: int, forget: bool
) -> None:
    keep(operator, under_way())

    def obey(_: dict[str, Any]) -> dict[str, Any]:
        finish(operator, done(outcome, status, "Reason"), forget=forget)
        return BEGUN

    with Node(redis, obey):
        result = operator.types("calls", "transfer", ID, "support", "--wait")
    failed = outcome is not Outcome.CONNECTED
    assert result.exit_code == failed
    told = result.output.splitlines()
    assert told[-3 if failed else -1] == f"{outcome} ({status} Reason)"
    assert [line.split()[0] for line in told[-2:]] == ["why", "mend"] or not failed


def test_waiting_with_json_writes_one_object_with_the_outcome(operator: Operator, redis: RedisServer) -> None:
    keep(operator, under_way())

    def obey(_: dict[str, Any]) -> dict[str, Any]:
        finish(operator, done(Outcome.REJECTED, 603, "Decline"))
        return BEGUN

    with Node(redis, obey):
        result = operator.types("calls", "transfer", ID, "support", "--wait", "--json")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["call"], data["outcome"], data["status"]) == (1, ID, "rejected", 603)


@contextmanager
def killed(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process where the test fails: else leaving it would wait for its end."""
    try:
        yield
    finally:
        process.kill()


def test_watching_writes_an_object_a_line_survives_a_restart_of_redis_and_ends_with_0_at_ctrl_c(
    operator: Operator, redis: RedisServer
) -> None:
    keep(operator, a_call(ID))
    command = [sys.executable, "-m", "cli.main", "calls", "watch", "--json", "--every", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch, killed(watch):
        assert watch.stdout
        assert watch.stderr
        first = json.loads(watch.stdout.readline())
        redis.stop()
        assert "is not available" in watch.stderr.readline()
        redis.start()
        second = json.loads(watch.stdout.readline())
        watch.send_signal(signal.SIGINT)
        rest, errors = watch.communicate(timeout=10)
    assert (first["call"], first["event"], first["state"]) == (ID, "state", "talking")
    assert second["event"] == "ended"  # this Redis keeps nothing
    assert (rest, errors, watch.returncode) == ("", "", 0)


WORDS = [("list",), ("show", ID), ("transfer", ID, "support"), ("cancel", ID), ("summary", ID, "x"), ("watch",)]


@pytest.mark.parametrize("words", WORDS)
def test_without_redis_each_command_ends_with_3(operator: Operator, redis: RedisServer, words: tuple[str, ...]) -> None:
    redis.stop()
    assert f"Redis at {redis.path} is not available" in operator.fails(3, "calls", *words)


@pytest.mark.parametrize(("words", "on"), [((), True), (("--off",), False)])
def test_the_debug_lines_of_a_call_are_switched_by_its_node(
    operator: Operator, redis: RedisServer, words: tuple[str, ...], on: bool
) -> None:
    keep(operator, a_call(ID))
    with Node(redis, lambda _: {"ok": True, "seconds": 1800 if on else 0}) as node:
        text = operator.types("calls", "debug", ID[:4], *words).stdout
        data = operator.reads("calls", "debug", ID, *words)
    assert [(command["kind"], command["call"], command["on"]) for command in node.commands] == [("debug", ID, on)] * 2
    assert data == {"call": ID, "debug": on, "seconds": 1800 if on else 0}
    assert text == (
        f"debug lines of {ID} are in the log of node node1 for 30 minutes\n"
        if on
        else f"debug lines of {ID} are logged no more\n"
    )
