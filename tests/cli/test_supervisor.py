"""A supervised program is kept running, heard, and ended with all that it has started."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from cli.supervisor import Daemon, Program
from tests.cli.lines import Lines
from tests.cli.processes import await_end, descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., Daemon]

STAYS = "echo up; exec sleep 1000"


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def make(lines: Lines) -> Iterator[Make]:
    """Make a daemon of a shell script; it is stopped after the test."""
    made: list[Daemon] = []

    def make(script: str, *, patience: float = 10.0, pick: Callable[[str], str] = str) -> Daemon:
        program = Program("prog", ("sh", "-c", script), {"GIVEN": "by us"}, pick, patience)
        made.append(Daemon(program, lines.say))
        made[-1].start()
        return made[-1]

    yield make
    for daemon in made:
        daemon.stop()


def test_a_program_that_dies_is_started_again_after_pauses_that_grow(make: Make, lines: Lines) -> None:
    daemon = make("exit 3")
    lines.expect("handoff: prog ended with status 3: starting it again in 0.2 s")
    lines.expect("handoff: prog ended with status 3: starting it again in 0.4 s")
    lines.expect("handoff: prog ended with status 3: starting it again in 0.8 s")
    assert daemon.deaths(within=10.0) == 3
    assert daemon.deaths(within=0.0) == 0


def test_a_program_that_is_killed_runs_again_with_another_process(make: Make, lines: Lines) -> None:
    daemon = make(STAYS)
    lines.expect("prog: up")
    first = daemon.pid
    assert first
    os.kill(first, signal.SIGKILL)
    lines.expect("handoff: prog was ended by SIGKILL: starting it again in 0.2 s")
    lines.expect("prog: up", times=2)
    assert daemon.pid not in {first, None}


def test_a_signal_without_a_name_is_told_by_its_number(make: Make, lines: Lines) -> None:
    make("kill -40 $$")
    lines.expect("handoff: prog was ended by signal 40: starting it again")


def test_workers_do_not_outlive_their_leader(make: Make, lines: Lines) -> None:
    daemon = make("sleep 1000 & sleep 1000 & echo up; wait")
    lines.expect("prog: up")
    assert daemon.pid
    workers = descendants(daemon.pid)
    assert len(workers) == 2
    os.kill(daemon.pid, signal.SIGKILL)
    await_end(workers)
    lines.expect("prog: up", times=2)


def test_stop_ends_a_program_by_sigterm_and_says_nothing(make: Make, lines: Lines) -> None:
    daemon = make("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done")
    lines.expect("prog: up")
    daemon.stop()
    assert daemon.pid is None
    assert lines.all == ["prog: up", "prog: bye"]


def test_stop_kills_a_program_that_does_not_end(make: Make, lines: Lines) -> None:
    daemon = make("trap '' TERM; echo up; while :; do sleep 1000; done", patience=0.1)
    lines.expect("prog: up")
    pid = daemon.pid
    assert pid
    family = {pid, *descendants(pid)}
    daemon.stop()
    await_end(family)
    assert lines.all[1:] == ["handoff: prog has not ended within 0.1 s: killing it"]


def test_stop_does_not_wait_for_the_pause_before_another_start(make: Make, lines: Lines) -> None:
    daemon = make("exit 1")
    lines.expect("again in 0.8 s")
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 0.6


def test_a_stopped_program_can_be_started_again(make: Make, lines: Lines) -> None:
    daemon = make(STAYS)
    lines.expect("prog: up")
    daemon.stop()
    daemon.start()
    lines.expect("prog: up", times=2)


def test_a_program_that_cannot_be_started_at_all_is_tried_again(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    daemon = Daemon(Program("prog", ("true",)), lines.say)
    daemon.start()
    assert daemon.pid is None
    lines.expect("handoff: prog cannot be started (No such file or directory): starting it again in 0.2 s")
    daemon.stop()


def test_a_program_that_is_not_there_is_a_death_with_its_reason(lines: Lines) -> None:
    daemon = Daemon(Program("prog", ("/no/such/program",)), lines.say)
    daemon.start()
    lines.expect("prog ended with status 127: starting it again")
    daemon.stop()
    assert "No such file" in daemon.lines[0]


def test_the_operator_sees_the_lines_that_are_picked_and_the_others_are_kept(make: Make, lines: Lines) -> None:
    daemon = make(
        "echo chatter; echo warning: $GIVEN; exec sleep 1000",
        pick=lambda line: line.upper() if line.startswith("warning") else "",
    )
    lines.expect("prog: WARNING: BY US")
    assert len(lines.all) == 1
    assert daemon.lines == ["chatter", "warning: by us"]


def test_bytes_that_are_no_text_do_not_stop_the_log(make: Make, lines: Lines) -> None:
    make(r"printf 'a\377b\n'; echo up; exec sleep 1000")
    lines.expect("prog: a\ufffdb")
    lines.expect("prog: up")
