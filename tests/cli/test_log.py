"""`handoff log`, typed against a real Redis."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from cli.log_choice import moment
from routing.heard import Heard, PartyHeard
from routing.outcomes import Mode, Outcome
from routing.records import Party
from routing.store import layout
from routing.store.log import to_row
from routing.texts import BadValue
from routing.transfer_record import Attempt, Method, Origin, Transfer
from tests.cli.handed_over import ID, OTHER
from tests.routing.store_help import a_call, a_transfer

if TYPE_CHECKING:
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

NOW = 1_800_000_000.0
ORIGIN = Origin(
    caller='"Alice" <sip:+4930123@carrier.example>',
    asserted="<tel:+4930123>",
    called="<sip:+4930999@handoff.example>",
    pool="sales",
    trunk="carrier",
    source="192.0.2.1:5060",
    node="node1",
    media_node="media1",
)
ATTEMPT = Attempt(
    uri="sip:bob@example.com",
    status=200,
    reason="OK",
    started_at=NOW + 0.1,
    ended_at=NOW + 4,
    leg=1,
    theirs=True,
    trying_at=NOW + 0.2,
    ringing_at=NOW + 1,
    answered_at=NOW + 3.9,
    codecs=("G722",),
)
BUSY = ATTEMPT.model_copy(
    update={
        "uri": "sip:ann@example.com",
        "status": 486,
        "reason": "Busy Here",
        "cause": 17,
        "answered_at": None,
        "ended_at": NOW + 2,
        "codecs": (),
    }
)
HEARD = Heard(
    transfer=f"{ID}-1",
    ended_at=NOW + 60,
    parties={
        Party.CALLER: PartyHeard(codec="PCMA", packets=3000, mos=4.3, jitter=2, loss=1, lost=30),
        Party.TARGET: PartyHeard(codec="G722", packets=2800),
    },
)


def connected(transfer_id: str = f"{ID}-1", **changes: Any) -> Transfer:
    values: dict[str, Any] = {
        "outcome": Outcome.CONNECTED,
        "status": 200,
        "reason": "OK",
        "requested_at": NOW,
        "invited_at": NOW + 0.1,
        "answered_at": NOW + 3.875,
        "ended_at": NOW + 4,
        "changeover": 0.00234,
        "attempts": (BUSY, ATTEMPT),
        "origin": ORIGIN,
        "caller_codec": "PCMA",
        "offered": ("PCMA", "G722"),
    }
    return a_transfer(transfer_id, **(values | changes))


def busy(transfer_id: str, at: float = NOW, **changes: Any) -> Transfer:
    ended = {"outcome": Outcome.BUSY, "status": 486, "reason": "Busy Here", "ended_at": at}
    ended |= {"answered_at": None, "changeover": None}
    return connected(transfer_id, **(ended | {"requested_at": at - 1, "attempts": (BUSY,)} | changes))


def log(operator: Operator, *transfers: Transfer, heard: Heard | None = None, call_id: str = ID) -> None:
    with operator.store() as store:
        store.create(a_call(call_id))
        with store.lease(call_id) as lease:
            lease.save(lease.call, finished=transfers)
        if heard:
            store.tick(1.0, "node2", heard={call_id: heard})


def listed(operator: Operator, *words: str) -> list[str]:
    """Give the ids of the transfers that are listed."""
    return [entry["id"] for entry in operator.reads("log", *words)]


def test_finished_transfers_are_listed_newest_first(operator: Operator) -> None:
    log(operator, busy(f"{ID}-1"), connected(f"{ID}-2"))
    head, first, second = operator.types("log").stdout.splitlines()
    assert head.split()[:3] == ["TIME", "TRANSFER", "CALLER"]
    assert re.search(rf'{ID}-2  "Alice" <sip:\+4930123@carrier.example>  support  blind  connected +200 OK', first)
    assert "4.000 s" in first
    assert f"{ID}-1" in second
    assert "486 Busy Here" in second


def test_without_entries_the_list_is_empty_and_says_so(operator: Operator) -> None:
    assert operator.types("log").stderr == "no such transfers\n"
    assert operator.reads("log") == []
    assert operator.types("log", "--csv").stdout == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--target", "sales"], ["d"]),
        (["--target", "sales", "--target", "support"], ["d", "c", "b", "a"]),
        (["--outcome", "busy"], ["b", "a"]),
        (["--outcome", "busy", "--outcome", "connected"], ["d", "c", "b", "a"]),
        (["--caller", "ALICE"], ["d", "b", "a"]),
        (["--caller", "tel:+4930123"], ["d", "b", "a"]),
        (["--caller", "bob@"], ["c"]),
        (["--since", "2027-01-15T08:00:00+00:00"], ["d", "c", "b"]),
        (["--until", "2027-01-15T08:00:00+00:00"], ["a"]),
        (["--limit", "2"], ["d", "c"]),
        (["--limit", "0"], ["d", "c", "b", "a"]),
    ],
)
def test_the_list_is_cut_down_to_what_is_wanted(operator: Operator, words: list[str], found: list[str]) -> None:
    log(
        operator,
        busy("a", NOW - 5000),
        busy("b", NOW),
        connected("c", origin=None, sender="<sip:bob@example.com>"),
        connected("d", target="sales"),
    )
    assert listed(operator, *words) == found


def test_that_there_are_more_is_said_only_where_there_are(operator: Operator) -> None:
    log(operator, *(busy(f"{ID}-{number}") for number in range(51)))
    assert operator.types("log").stderr == "there are more than 50: see --limit, --since and --target\n"
    assert len(operator.types("log").stdout.splitlines()) == 51
    assert operator.types("log", "--limit", "51").stderr == ""
    assert len(operator.reads("log")) == 51


@pytest.mark.parametrize("text", ["yesterday", "25:00", "2026-13-01", "5y", ""])
def test_what_is_no_time_is_refused_with_what_to_write(operator: Operator, text: str) -> None:
    assert "write 30m, 2h or 7d" in operator.fails(2, "log", "--since", text)


def test_times_are_read_as_people_write_them() -> None:
    now = time.time()
    assert [round((now - moment(f"2{unit}", "t")) / 2) for unit in "smhdw"] == [1, 60, 3600, 86400, 604800]
    assert time.localtime(moment("9:05", "t"))[3:6] == (9, 5, 0)
    assert moment("2027-01-15T08:00:00+00:00", "t") == NOW
    with pytest.raises(BadValue, match="--until is"):
        moment("x", "--until")


def test_csv_and_json_exclude_one_another(operator: Operator) -> None:
    assert "exclude one another" in operator.fails(2, "log", "--csv", "--json")


def test_what_leaves_nothing_to_show_is_refused(operator: Operator) -> None:
    assert "--since is not before --until" in operator.fails(2, "log", "--since", "1h", "--until", "2h")
    assert "--follow and --until exclude one another" in operator.fails(2, "log", "--follow", "--until", "1h")


def test_an_id_alone_is_answered_with_the_command_that_shows_it(operator: Operator) -> None:
    assert f"write: handoff log show {ID}" in operator.fails(2, "log", ID)


def test_no_half_of_an_array_is_written_where_redis_is_away(operator: Operator, redis: RedisServer) -> None:
    redis.stop()
    result = operator.types("log", "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "is not available" in json.loads(result.stderr)["error"]


def test_csv_has_a_line_of_headings_and_a_cell_for_everything(operator: Operator) -> None:
    log(operator, busy(f"{ID}-1"), heard=None)
    log(operator, connected(f"{OTHER}-1"), heard=HEARD.model_copy(update={"transfer": f"{OTHER}-1"}), call_id=OTHER)
    talked, refused = csv.DictReader(io.StringIO(operator.types("log", "--csv").stdout))
    assert talked["caller"] == ORIGIN.caller
    assert (talked["endpoint"], talked["answered"], talked["transcoded"]) == ("sip:bob@example.com", "G722", "yes")
    assert (talked["time_to_human"], talked["attempts"], talked["cause"]) == ("4.0", "2", "")
    assert (talked["answer_to_bridge"], talked["changeover"]) == ("0.125", "0.0023")
    assert (talked["caller_codec"], talked["caller_sent_codec"], talked["target_sent_codec"]) == (
        "PCMA",
        "PCMA",
        "G722",
    )
    assert (refused["caller_codec"], refused["caller_sent_codec"]) == ("PCMA", "")
    assert (refused["answer_to_bridge"], refused["changeover"]) == ("", "")
    assert (talked["caller_mos"], talked["caller_lost"], talked["target_packets"]) == ("4.3", "30", "2800")
    assert talked["target_mos"] == ""
    assert (refused["outcome"], refused["status"], refused["cause"]) == ("busy", "486", "17")
    assert (refused["time_to_human"], refused["transcoded"], refused["caller_packets"]) == ("", "", "")


def test_no_cell_of_csv_is_a_formula(operator: Operator) -> None:
    log(operator, busy(f"{ID}-1", reason='=HYPERLINK("http://thief.example")'))
    (row,) = csv.DictReader(io.StringIO(operator.types("log", "--csv").stdout))
    assert row["reason"] == '\'=HYPERLINK("http://thief.example")'


def test_an_entry_of_an_older_version_is_shown_with_what_it_has(operator: Operator) -> None:
    log(operator, a_transfer(f"{ID}-1", attempts=(ATTEMPT.model_copy(update={"leg": 0, "theirs": False}),)))
    (entry,) = operator.reads("log")
    assert (entry["time_to_human"], entry["heard"]) == (None, None)
    (row,) = csv.DictReader(io.StringIO(operator.types("log", "--csv").stdout))
    assert (row["caller"], row["trunk"]) == ("<sip:alice@example.com>", "")
    assert "<sip:alice@example.com>" in operator.types("log", "show", ID).stdout


def test_a_transfer_is_shown_with_all_that_is_known_of_it(operator: Operator) -> None:
    log(operator, connected(), heard=HEARD)
    text = operator.types("log", "show", f"{ID}-1").stdout
    fields = dict(re.split(r" {2,}", line, maxsplit=1) for line in text.split("\n\n")[0].splitlines())
    assert fields["came from"] == "trunk carrier 192.0.2.1:5060"
    assert fields["called"] == "<sip:+4930999@handoff.example>, pool sales"
    assert fields["asserted"] == "<tel:+4930123>"
    assert fields["time to human"] == "4.000 s"
    assert fields["bridged"] == "0.125 s after the answer"
    assert fields["changeover"] == (
        "2.3 ms: the caller heard nobody for so long at most, and until the person's next packet"
    )
    assert fields["codecs"] == "the caller speaks PCMA; offered PCMA G722; the target answered G722: transcoded"
    assert fields["from caller"] == "3000 packets of PCMA in the whole call, 30 lost (1 %), jitter 2 ms, MOS 4.3"
    assert fields["from target"].endswith("loss and jitter unknown: no RTCP report came of it")
    ladder = [" ".join(line.split()[1:]) for line in text.split("\n\n")[2].splitlines()[1:]]
    assert ladder == [
        "0.000 | |------>| | REFER transfer to support",
        "0.100 | | |------>| INVITE sip:ann@example.com",
        "0.100 | | |------>| INVITE sip:bob@example.com",
        "0.200 | | |<------| first response",
        "0.200 | | |<------| first response",
        "1.000 | | |<------| ringing",
        "1.000 | | |<------| ringing",
        "2.000 | | |<------| 486 Busy Here (Q.850 cause 17)",
        "3.900 | | |<------| answer",
        "4.000 |<----------------------| caller and person talk",
        "60.000 | | * | the call ends",
    ]


def test_a_bridge_after_a_briefing_is_said_to_be_one(operator: Operator) -> None:
    log(operator, connected(mode=Mode.MESSAGE))
    assert "0.125 s after the answer, the briefing included" in operator.types("log", "show", ID).stdout


@pytest.mark.parametrize(
    ("trace", "minutes_ago", "told"),
    [
        ({}, None, f"handoff trace {ID}, until 60 minutes after the last message of the call"),
        ({"minutes": 5}, 4, f"handoff trace {ID}, until 5 minutes after the last message of the call"),
        ({"minutes": 5}, 6, None),
        ({"mode": "off"}, None, None),
    ],
)
def test_the_trace_of_a_call_is_pointed_to_as_long_as_it_may_be_there(
    operator: Operator, trace: dict[str, Any], minutes_ago: float | None, told: str | None
) -> None:
    """Of a call that may still go on, and of one that ended not too long ago."""
    operator.writes_settings(trace=trace)
    at = None if minutes_ago is None else time.time() - 60 * minutes_ago
    log(operator, connected(), heard=None if at is None else HEARD.model_copy(update={"ended_at": at}))
    lines = [line.split(maxsplit=1) for line in operator.types("log", "show", ID).stdout.splitlines() if line]
    assert next((line[1] for line in lines if line[0] == "trace"), None) == told


def test_what_handoff_gave_up_or_did_not_call_is_told_as_such(operator: Operator) -> None:
    skipped = Attempt(uri="sip:s@h", status=503, reason="rested after 503", started_at=NOW, ended_at=NOW)
    sent_on = ATTEMPT.model_copy(update={"method": Method.REFER, "leg": 0, "status": 603, "codecs": ()})
    late = ATTEMPT.model_copy(update={"theirs": False, "status": 408, "reason": "Request Timeout"})
    changes: dict[str, Any] = {
        "source": "command",
        "outcome": Outcome.NO_ANSWER,
        "status": 408,
        "reason": "Request Timeout",
    }
    log(operator, connected(attempts=(skipped, sent_on, late), cause=16, **changes))
    text = operator.types("log", "show", ID).stdout
    assert "sip:s@h is not called: rested after 503" in text
    assert "|<--------------|       |      REFER sip:bob@example.com" in text
    assert "given up: 408 Request Timeout" in text
    assert "no_answer: 408 Request Timeout" in text
    assert "command: transfer to support" in text
    assert "16 in the caller's BYE" in text


def test_a_call_that_the_callers_side_took_has_no_time_to_human(operator: Operator) -> None:
    """Nobody has told us when the caller heard the person."""
    log(operator, connected(attempts=(ATTEMPT.model_copy(update={"method": Method.REFER, "codecs": ()}),)))
    (entry,) = operator.reads("log")
    assert (entry["time_to_human"], entry["transcoded"]) == (None, None)


@pytest.mark.parametrize("words", [ID, ID[:4], ID.upper()])
def test_a_call_shows_all_its_transfers_oldest_first(operator: Operator, words: str) -> None:
    log(operator, busy(f"{ID}-1"), connected(f"{ID}-1f"), connected(f"{ID}-12"))
    assert listed(operator, "show", words) == [f"{ID}-1", f"{ID}-1f", f"{ID}-12"]


def test_a_transfer_is_found_by_its_id_and_by_the_beginning_of_it(operator: Operator) -> None:
    log(operator, busy(f"{ID}-1"), connected(f"{ID}-12"))
    assert listed(operator, "show", f"{ID}-1") == [f"{ID}-1"]
    assert listed(operator, "show", f"{ID}-") == [f"{ID}-1", f"{ID}-12"]


def test_a_beginning_that_several_calls_have_is_refused(operator: Operator) -> None:
    log(operator, busy(f"{ID}-1"))
    log(operator, busy(f"{OTHER}-1"), call_id=OTHER)
    assert "2 calls begin with 01" in operator.fails(2, "log", "show", "01")


@pytest.mark.parametrize("words", ["ffff", f"{ID}-9", "-", "x y"])
def test_what_the_log_does_not_have_is_told(operator: Operator, words: str) -> None:
    log(operator, busy(f"{ID}-1"))
    assert "has no finished transfer" in operator.fails(1, "log", "show", "--", words)


def test_entries_that_cannot_be_read_are_told_and_the_others_are_listed(operator: Operator, redis: RedisServer) -> None:
    log(operator, busy(f"{ID}-1"))
    for _ in range(7):
        redis.ask("XADD", layout.LOG, "*", "call", ID, "transfer", b"rubbish")
    for command in ((), ("show", ID)):
        result = operator.types("log", *command)
        assert result.exit_code == 0
        assert f"{ID}-1" in result.stdout
        assert result.stderr.count(f"of the call log (call {ID}) cannot be read") == 5
        assert "7 entries cannot be read" in result.stderr


def test_what_a_peer_sent_cannot_steer_the_terminal(operator: Operator) -> None:
    log(operator, busy(f"{ID}-1", reason="\x1b[2J", origin=ORIGIN.model_copy(update={"caller": "\x1b[2J[bold]"})))
    for command in ((), ("show", ID)):
        output = operator.types("log", *command).stdout
        assert "\x1b" not in output
        assert "?[2J[bold]" in output


def test_help_names_the_options_of_the_list_and_the_other_commands(operator: Operator) -> None:
    text = operator.types("log", "--help").stdout
    assert "--since" in text
    assert "show" in text
    assert "log" in operator.types("--help").stdout


@pytest.mark.parametrize("form", ["--json", "--csv", "--limit=10"])
def test_follow_shows_the_last_ones_and_those_that_come(operator: Operator, form: str) -> None:
    log(operator, busy(f"{ID}-1"), busy(f"{ID}-2"))
    command = [sys.executable, "-m", "cli.main", "log", "--follow", form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = [process.stdout.readline() for _ in range(3 if form == "--csv" else 2)]
            log(operator, busy(f"{OTHER}-1"), heard=HEARD, call_id=OTHER)
            lines.append(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert [transfer for line in lines for transfer in re.findall(r"[0-9a-f]{16}-\d", line)][::1] == [
        f"{ID}-1",
        f"{ID}-2",
        f"{OTHER}-1",
    ]


def test_ten_thousand_entries_are_filtered_in_little_memory(operator: Operator) -> None:
    """They are read in pages: what has been looked at is not kept."""
    data = to_row(busy("t", NOW))
    log(operator, *(busy(f"t{number}") for number in range(10_000)))
    tracemalloc.start()
    try:
        result = operator.types("log", "--caller", "nobody", "--json")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert json.loads(result.stdout) == []
    assert peak < len(data) * 10_000 / 2
    assert len(listed(operator, "--caller", "alice")) == 10_000


def test_the_log_keeps_the_newest_and_takes_no_more_memory_than_they_do(
    operator: Operator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis drops whole blocks of entries, which are of 100 at most."""
    monkeypatch.setattr(layout, "LOG_LENGTH", 1000)
    log(operator, *(busy(f"a{number:04}") for number in range(1100)))
    before = redis.ask("MEMORY", "USAGE", layout.LOG)
    for batch in "bcd":
        log(operator, *(busy(f"{batch}{number:04}") for number in range(1000)))
    assert 1000 <= redis.ask("XLEN", layout.LOG) <= 1100
    assert redis.ask("MEMORY", "USAGE", layout.LOG) <= 1.1 * before
    found = listed(operator)
    assert found[:1000] == [f"d{number:04}" for number in reversed(range(1000))]
