"""`handoff demo`: what it shows, what it says when something is not as it should be, and that it leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli import demo_blind, demo_stage
from cli.demo_stage import Facts, Stage
from cli.main import handoff
from cli.tones import Sound
from routing.outcomes import Mode, Outcome
from routing.records import Party

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEMO = [sys.executable, "-m", "cli.main", "demo"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give an empty folder for temporary files, with a short path, that everybody may write to."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture(scope="module")
def facts() -> Facts:
    """Give what was seen of one transfer."""
    with Stage() as stage:
        return stage.transfer(Mode.BLIND)


def ordinary_user() -> list[str]:
    """Give what makes a command run as an ordinary user, where there is one that can read this checkout."""
    drop = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    tried = [*drop, sys.executable, "-c", "import cli.demo_play"]
    return drop if os.geteuid() == 0 and subprocess.run(tried, cwd=ROOT, check=False).returncode == 0 else []


def left(folder: Path) -> list[str]:
    """Name what is left: files, and processes that were started with paths in the folder."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [*map(str, folder.iterdir()), *(str(line) for line in commands if os.fsencode(folder) in line)]


def test_anybody_can_run_it_and_it_tells_who_heard_whom(folder: Path) -> None:
    run = subprocess.run(
        [*ordinary_user(), *DEMO],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    words = ["INVITE", "REFER", "202 Accepted (REFER)", "NOTIFY 180 Ringing", "(bridge)", "NOTIFY 200 OK", "BYE"]
    timeline = run.stdout.partition("WHAT")[2]
    places = [timeline.index(word) for word in words]
    assert places == sorted(places)
    assert "between REFER and its own BYE it got no SIP message" in run.stdout.splitlines()[-1]
    assert left(folder) == []


def test_a_program_can_read_what_was_seen(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "_set", lambda stage: None)
    monkeypatch.setattr(Stage, "transfer", lambda stage, mode: facts)
    run = CliRunner().invoke(handoff, ["demo", "--json"])
    assert run.exit_code == 0, run.output
    data = json.loads(run.stdout)
    (show,) = data["shows"]
    assert (data["ok"], show["mode"], show["problems"]) == (True, "blind", [])
    rows = [(row["from"], row["to"], row["what"]) for row in show["timeline"]]
    assert rows[0] == ("caller", "handoff", "INVITE")
    assert rows[-2:] == [("caller", "handoff", "BYE"), ("handoff", "target", "BYE")]
    assert [row["heard"] for row in show["heard"] if row["who"] == "caller"] == ["agent", "target"]
    assert show["caller_media"]["before"] == show["caller_media"]["after"]
    assert show["transfer"]["outcome"] == "connected"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_whoever_interrupts_it_finds_nothing_left(folder: Path, ending: signal.Signals) -> None:
    run = subprocess.Popen(
        DEMO, cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not list(folder.glob("*/run/kamailio_ctl")):
        assert time.monotonic() < deadline, "Kamailio did not start"
        time.sleep(0.01)
    run.send_signal(ending)
    _, said = run.communicate(timeout=20)
    assert (run.returncode, said.strip()) == (1, b"Aborted!")
    assert left(folder) == []


def test_it_stops_with_a_timeline_when_a_phone_does_not_see_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_stage, "PATIENCE", 3.0)
    monkeypatch.setattr(demo_stage, "TALK", 0.1)
    monkeypatch.setattr(demo_stage, "RING", 60.0)
    run = CliRunner().invoke(handoff, ["demo"])
    assert run.exit_code == 1
    assert "agent    handoff  REFER" in run.stdout
    assert "the blind transfer stopped half-way: target: the call is not confirmed after 3 s" in run.stderr


def test_without_the_phones_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.demo.find_spec", lambda name: None)
    run = CliRunner().invoke(handoff, ["demo"])
    assert (run.exit_code, run.stdout) == (1, "")
    assert "run `make install`" in run.stderr


def without_refer_reply(facts: Facts) -> Facts:
    return replace(facts, messages=tuple(m for m in facts.messages if not str(m).startswith("202")))


def with_message_to_caller(facts: Facts) -> Facts:
    (notify, *_) = [m for m in facts.messages if m.notified == 180]
    return replace(facts, messages=(*facts.messages, replace(notify, phone="caller")))


def with_voice(party: Party, name: str, seconds: float) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        end = facts.sounds[party][-1].end
        sounds = [*facts.sounds[party], Sound(end, end + seconds, name)]
        return replace(facts, sounds={**facts.sounds, party: sounds})

    return change


def without_target(facts: Facts) -> Facts:
    heard = [sound for sound in facts.sounds[Party.CALLER] if sound.name != "target"]
    return replace(facts, sounds={**facts.sounds, Party.CALLER: heard})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_refer_reply, "After its REFER the agent got NOTIFY 100 Trying, "),
        (with_message_to_caller, "Between REFER and its own BYE the caller got NOTIFY 180 Ringing;"),
        (lambda facts: replace(facts, after=replace(facts.after, remote="127.0.0.1:9")), "The caller's media moved"),
        (lambda facts: replace(facts, after=replace(facts.after, source="127.0.0.1:9")), "The caller's media came"),
        (with_voice(Party.TARGET, "agent", 0.06), "The target heard agent for 60 ms"),
        (with_voice(Party.AGENT, "target", 0.06), "The agent heard target for 60 ms"),
        (with_voice(Party.CALLER, "pause", 0.3), "The caller heard nobody for 300 ms"),
        (without_target, "The caller did not hear the target."),
        (lambda facts: replace(facts, left=("Redis",)), "Redis still holds something of the call"),
        (
            lambda facts: replace(facts, transfer=facts.transfer.model_copy(update={"outcome": Outcome.BUSY})),
            "The call log says busy",
        ),
    ],
)
def test_it_claims_nothing_that_was_not_so(facts: Facts, change: Callable[[Facts], Facts], sentence: str) -> None:
    assert demo_blind.find_problems(facts) == []
    problems = demo_blind.find_problems(change(facts))
    assert any(problem.startswith(sentence) for problem in problems), problems
