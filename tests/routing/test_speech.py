"""Where sounds are found, and what may be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from routing.settings_model import Speech
from routing.speech import LONGEST, check_speech, failure_of, file_of, fold
from routing.texts import BadValue
from routing.transfer_record import Sound, Standard

SPEECH = Speech(folder="/sounds")


def test_a_text_has_a_file_for_everything_that_it_depends_on() -> None:
    sounds = [Sound(text="a"), Sound(text="b"), Sound(text="a", language="de"), Sound(text="a", voice="f3")]
    files = {file_of(SPEECH, sound) for sound in sounds}
    files |= {file_of(SPEECH.model_copy(update={"command": "other {file}"}), sounds[0])}
    assert len(files) == len(sounds) + 1
    assert {file.parent for file in files} == {Path("/sounds")}


def test_what_is_said_as_the_settings_say_is_one_file() -> None:
    assert file_of(SPEECH, Sound(text="a")) == file_of(SPEECH, Sound(text="a", language=SPEECH.language))


def test_a_ready_made_sound_and_the_standard_ones_are_where_they_are() -> None:
    assert file_of(SPEECH, Sound(file="/other/a.wav")) == Path("/other/a.wav")
    assert file_of(SPEECH, Standard.MUSIC) == Path("/sounds/music.aiff")


def test_a_failure_is_marked_beside_the_file() -> None:
    assert failure_of(Path("/sounds/a.aiff")) == Path("/sounds/a.failed")


@pytest.mark.parametrize(("text", "status"), [("", 400), ("a\rb", 400), ("a\x00b", 400), ("a" * (LONGEST + 1), 413)])
def test_what_cannot_be_said_is_refused(text: str, status: int) -> None:
    with pytest.raises(BadValue) as refused:
        check_speech(text)
    assert refused.value.status == status


def test_a_text_with_lines_is_put_on_one() -> None:
    assert fold(" a\r\n\tb\n") == "a b"
    assert check_speech(" a ") == "a"
