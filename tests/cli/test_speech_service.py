"""What is asked for is spoken once, at the same time as other texts, and each failure is one line."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from cli.speech.cache import Cache
from cli.speech.engine import SpeechError
from cli.speech.service import SpeechService
from routing.settings import Speech
from routing.speech import file_of
from routing.transfer_record import Sound
from tests.cli.lines import Lines
from tests.cli.speech import ScriptedEngine, write_hum

if TYPE_CHECKING:
    from pathlib import Path


class Desk:
    """A service with a scripted engine, and what it said."""

    def __init__(self, folder: Path, engine: ScriptedEngine) -> None:
        self.settings = Speech(folder=str(folder), language="de")
        self.lines, self.outcomes = Lines(), Lines()
        self.engine = engine
        self.service = SpeechService(
            self.settings,
            engine,
            Cache(folder, 10_000_000, 1000.0),
            say=self.lines.add,
            observe=lambda outcome, _: self.outcomes.add(outcome),
        )

    def ask(self, *texts: Any, **voice: Any) -> None:
        for text in texts:
            self.service.ask({"text": text, "language": "", "voice": "", **voice})

    def file(self, text: str, **voice: str) -> Path:
        return file_of(self.settings, Sound(text=text, **voice))


def test_a_text_is_spoken_into_the_file_where_it_is_looked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ScriptedEngine())
    desk.ask("Grüße")
    desk.ask("hello", language="en", voice="en-gb")
    desk.service.wait()
    assert desk.file("Grüße").exists()
    assert desk.file("hello", language="en", voice="en-gb").exists()
    assert sorted(desk.engine.asked) == [("Grüße", "de", ""), ("hello", "en", "en-gb")]
    assert desk.outcomes.all == ["ok", "ok"]


def test_a_text_that_was_spoken_is_not_spoken_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ScriptedEngine())
    desk.ask("hello")
    desk.service.wait()
    desk.ask("hello")
    desk.service.wait()
    assert len(desk.engine.asked) == 1
    assert desk.outcomes.all == ["ok", "cached"]


def test_a_text_that_is_being_spoken_is_not_begun_again_and_a_slow_one_holds_up_nobody(tmp_path: Path) -> None:
    go_on = threading.Event()

    def speak(text: str, path: Path) -> None:
        assert text != "slow" or go_on.wait(10.0)
        write_hum(path)

    desk = Desk(tmp_path, ScriptedEngine(speak))
    desk.ask("slow", "slow", "quick")
    desk.outcomes.expect("ok")
    assert (desk.file("slow").exists(), desk.file("quick").exists()) == (False, True)
    desk.ask("slow")
    go_on.set()
    desk.service.wait()
    assert desk.file("slow").exists()
    assert sorted(text for text, *_ in desk.engine.asked) == ["quick", "slow"]


def test_a_failure_is_one_line_without_the_text_and_it_can_be_tried_again(tmp_path: Path) -> None:
    errors: list[Exception] = [SpeechError("no voice", "name one"), SpeechError("too slow", late=True), OSError("disk")]

    def speak(_text: str, path: Path) -> None:
        if errors:
            raise errors.pop(0)
        write_hum(path)

    desk = Desk(tmp_path, ScriptedEngine(speak))
    for _ in range(4):
        desk.ask("secret")
        desk.service.wait()
    name = desk.file("secret").name
    assert desk.lines.all[0] == f"speech failed file={name} language=de voice=de characters=6: no voice; name one"
    assert [line.partition(": ")[2].partition(";")[0] for line in desk.lines.all] == [
        "no voice",
        "too slow",
        "OSError: disk",
    ]
    assert desk.outcomes.all == ["failed", "late", "failed", "ok"]
    assert desk.file("secret").exists()


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, "the text is empty"),
        ({"text": "x" * 1001}, "the text has 1001 characters"),
        ({"text": "a\nb"}, "the text has the control character U+000A"),
        ({"text": 5}, "the request is not made of texts"),
        ({"text": "a", "voice": "-x"}, "'-x' is no voice or language"),
        ({"text": "a", "language": ["en"]}, "the request is not made of texts"),
    ],
)
def test_what_cannot_be_spoken_is_refused_in_one_line(tmp_path: Path, request_: dict[str, Any], why: str) -> None:
    desk = Desk(tmp_path, ScriptedEngine())
    desk.service.ask(request_)
    assert len(desk.lines.all) == 1
    assert desk.lines.all[0].startswith(f"speech failed: {why}")
    assert (desk.outcomes.all, desk.engine.asked) == (["failed"], [])
