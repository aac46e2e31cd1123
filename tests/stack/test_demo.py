"""`handoff demo`: what it shows, what it says when something is not as it should be, and that it leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli import demo_stage
from cli.demo_checks import find_problems
from cli.demo_facts import Facts, Task
from cli.demo_shows import SHOWS
from cli.demo_stage import Stage
from cli.main import handoff
from cli.tones import Sound
from routing.outcomes import Mode, Outcome
from routing.records import Party
from tests.stack.system import System

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
def seen() -> dict[Mode, Facts]:
    """Give what was seen of one transfer of each mode."""
    with pytest.MonkeyPatch.context() as patch, Stage() as stage:
        patch.setattr(demo_stage, "TALK", 0.5)
        return {show.task.mode: stage.transfer(show.task) for show in SHOWS}


@pytest.fixture
def facts(request: pytest.FixtureRequest, seen: dict[Mode, Facts]) -> Facts:
    """Give what was seen of the transfer of a mode, or of the blind one."""
    return seen[getattr(request, "param", Mode.BLIND)]


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
    blind, message, summary = run.stdout.split("--- mode ")[1:]
    words = ["INVITE", "REFER", "202 Accepted (REFER)", "NOTIFY 180 Ringing", "200 OK"]
    end = ["(bridge)", "NOTIFY 200 OK", "BYE"]
    in_order(blind, ["blind", "WHAT", *words, *end, "WHO", "between REFER and its own BYE it got no SIP message"])
    played = ["(plays the music)", "(plays the message)"]
    in_order(message, ["message", "WHAT", *words[:-1], *played, *end, "WHO", "The person heard the message for "])
    sent = [f"{method} with X-Handoff-Summary" for method in ("REFER", "INVITE")]
    in_order(summary, ["summary", "WHAT", *sent, *end, "The person heard the summary for 3.", "Zoë Brown has moved"])
    assert max(map(len, run.stdout.splitlines())) <= 120
    assert left(folder) == []


def in_order(text: str, words: list[str]) -> None:
    """Check that a text has all these words, one after another."""
    at = 0
    for word in words:
        assert word in text[at:], f"{word} is not there, or too early"
        at = text.index(word, at) + len(word)


def test_a_program_can_read_what_was_seen(seen: dict[Mode, Facts], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "_set", lambda stage: None)
    monkeypatch.setattr(Stage, "transfer", lambda stage, task: seen[task.mode])
    run = CliRunner().invoke(handoff, ["demo", "--json"])
    assert run.exit_code == 0, run.output
    data = json.loads(run.stdout)
    assert (data["ok"], [show["mode"] for show in data["shows"]]) == (True, ["blind", "message", "summary"])
    for show in data["shows"]:
        assert show["problems"] == []
        rows = [(row["from"], row["to"], row["what"]) for row in show["timeline"]]
        assert rows[0] == ("caller", "handoff", "INVITE")
        assert rows[-2:] == [("caller", "handoff", "BYE"), ("handoff", "target", "BYE")]
        assert show["caller_media"]["before"] == show["caller_media"]["after"]
        assert show["transfer"]["outcome"] == "connected"
    blind, message, summary = data["shows"]
    assert names(blind, "caller") == ["agent", "target"]
    assert names(message, "caller") == ["agent", "music", "target"]
    assert names(message, "target") == ["pause", "message", "pause", "caller"]
    assert names(summary, "target") == ["pause", "summary", "pause", "caller"]
    assert (blind["summary_header"], message["summary_header"]) == (None, None)
    assert summary["summary_header"].startswith("Zo%C3%AB Brown")


def names(show: dict[str, Any], who: str) -> list[str]:
    """Name what a party heard, but for gaps that only show that the machine is busy."""
    rows = [row for row in show["heard"] if row["who"] == who]
    return [row["heard"] for row in rows if row["heard"] not in {"pause", "unknown"} or row["seconds"] > 0.2]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_whoever_interrupts_it_finds_nothing_left(folder: Path, ending: signal.Signals) -> None:
    run = subprocess.Popen(
        DEMO, cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    System.wait_until(lambda: any(folder.glob("*/run/kamailio_ctl")), timeout=20)
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
        sounds = [*facts.sounds[party], Sound(end, end + seconds, name.format(mode=facts.mode))]
        return replace(facts, sounds={**facts.sounds, party: sounds})

    return change


def with_transfer(**changes: object) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, transfer=facts.transfer.model_copy(update=changes))


def without(party: Party, name: str) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        heard = [sound for sound in facts.sounds[party] if sound.name != name.format(mode=facts.mode)]
        return replace(facts, sounds={**facts.sounds, party: heard})

    return change


def moved(party: Party, name: str, start: float, end: float) -> Callable[[Facts], Facts]:
    """Move the first and the last moment of a sound."""

    def change(facts: Facts) -> Facts:
        sounds = [
            replace(sound, start=sound.start + start, end=sound.end + end)
            if sound.name == name.format(mode=facts.mode)
            else sound
            for sound in facts.sounds[party]
        ]
        return replace(facts, sounds={**facts.sounds, party: sounds})

    return change


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
        (with_voice(Party.CALLER, "unknown", 0.3), "The caller heard something unknown for 300 ms"),
        (with_voice(Party.CALLER, "agent", 0.06), "The caller heard agent, target, agent one after another;"),
        (without(Party.CALLER, "target"), "The caller did not hear the target."),
        (moved(Party.TARGET, "caller", -0.3, 0), "The target heard the caller "),
        (lambda facts: replace(facts, left=("Redis",)), "Redis still holds something of the call"),
        (with_transfer(outcome=Outcome.BUSY), "The call log says busy"),
    ],
)
def test_it_claims_nothing_that_was_not_so(facts: Facts, change: Callable[[Facts], Facts], sentence: str) -> None:
    assert find_problems(facts) == []
    problems = find_problems(change(facts))
    assert any(problem.startswith(sentence) for problem in problems), problems


@pytest.mark.parametrize("facts", [Mode.MESSAGE, Mode.SUMMARY], indirect=True)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_voice(Party.CALLER, "{mode}", 0.06), "The caller heard {mode} for 60 ms"),
        (with_voice(Party.TARGET, "music", 0.06), "The target heard music for 60 ms"),
        (without(Party.CALLER, "music"), "The caller did not hear the music."),
        (without(Party.TARGET, "{mode}"), "The target did not hear the {mode}."),
        (with_voice(Party.TARGET, "{mode}", 0.06), "The target heard {mode}, caller, {mode} one after another;"),
        (moved(Party.TARGET, "{mode}", 0.3, 0.3), "The pause before the {mode} lasted 0."),
        (moved(Party.TARGET, "caller", 0.3, 0), "The pause after the {mode} lasted 0."),
        (moved(Party.TARGET, "caller", -0.3, 0), "The pause after the {mode} lasted 0."),
        (moved(Party.TARGET, "{mode}", 0, -1), "The target heard "),
        (with_transfer(fixed=True), "The {mode} was not spoken in time"),
        (moved(Party.AGENT, "caller", 0, 0.4), "The agent still heard the caller "),
    ],
)
def test_nor_of_a_briefing(facts: Facts, change: Callable[[Facts], Facts], sentence: str) -> None:
    assert find_problems(facts) == []
    problems = find_problems(change(facts))
    assert any(problem.startswith(sentence.format(mode=facts.mode)) for problem in problems), problems


@pytest.mark.parametrize("facts", [Mode.SUMMARY], indirect=True)
def test_it_knows_which_summary_the_invite_must_bring(facts: Facts) -> None:
    other = replace(facts, task=Task(facts.mode, summary="Something else."))
    assert find_problems(other) == ["The INVITE to the target had not the summary as X-Handoff-Summary."]
