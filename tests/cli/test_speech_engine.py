"""Any program can be the speech engine; whatever it does, there is a playable file or one clear error."""

from __future__ import annotations

import array
import time
from typing import TYPE_CHECKING

import pytest

from cli.speech.engine import CommandEngine, SpeechError
from cli.speech.sound_file import duration, trim, write
from tests.cli.processes import await_end
from tests.cli.speech import ESPEAK, script, write_hum

if TYPE_CHECKING:
    from pathlib import Path


def failure(template: str, path: Path, seconds: float = 30.0) -> SpeechError:
    """Let an engine fail; check that it leaves nothing behind."""
    before = set(path.parent.iterdir())
    with pytest.raises(SpeechError) as failed:
        CommandEngine(template, seconds).speak("hello", "en", "", path)
    assert set(path.parent.iterdir()) == before
    assert failed.value.mend
    return failed.value


def test_espeak_speaks_a_text_of_any_letters(tmp_path: Path) -> None:
    text = "Grüße aus Köln, Łódź und 東京: “hello” 😀. " * 20
    engine = CommandEngine(ESPEAK)
    engine.speak(text[:800], "de", "", tmp_path / "long.aiff")
    engine.speak("Grüße.", "de", "", tmp_path / "short.aiff")
    assert duration(tmp_path / "long.aiff") > 20.0
    assert 0.3 < duration(tmp_path / "short.aiff") < 2.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.aiff", "short.aiff"]


def test_voice_and_language_get_to_the_engine_and_without_a_voice_it_is_the_language(tmp_path: Path) -> None:
    template = (
        script(tmp_path, f'echo "$2 $3" >> {tmp_path}/asked; espeak-ng --stdin -w "$1"') + " {voice} x-{language}"
    )
    engine = CommandEngine(template)
    engine.speak("hello", "de", "en-gb", tmp_path / "a.aiff")
    engine.speak("hello", "de", "", tmp_path / "b.aiff")
    assert (tmp_path / "asked").read_text() == "en-gb x-de\nde x-de\n"


@pytest.mark.parametrize(
    "text", ["$(touch {0}/x) `touch {0}/x`", "'; touch {0}/x; '", '" & touch {0}/x #', "-w {0}/x", "{{file}} %s \\n"]
)
def test_no_text_is_ever_taken_for_a_command(tmp_path: Path, text: str) -> None:
    CommandEngine(ESPEAK).speak(text.format(tmp_path), "en", "", tmp_path / "a.aiff")
    assert [path.name for path in tmp_path.iterdir()] == ["a.aiff"]
    assert duration(tmp_path / "a.aiff")


def test_the_engine_gets_the_text_as_it_is(tmp_path: Path) -> None:
    source = write_hum(tmp_path / "source.wav")
    engine = CommandEngine(script(tmp_path, f'cat > {tmp_path}/text; cp {source} "$1"'))
    engine.speak("Grüße; $HOME 'x'", "en", "", tmp_path / "a.aiff")
    assert (tmp_path / "text").read_bytes() == "Grüße; $HOME 'x'".encode()


def test_an_engine_that_is_not_installed_is_told(tmp_path: Path) -> None:
    error = failure("no-such-engine {file}", tmp_path / "a.aiff")
    assert (
        str(error) == "the speech engine no-such-engine is not installed; run deploy/install.sh, or see speech.command"
    )


def test_an_engine_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    error = failure(script(tmp_path, "echo start; echo no such voice >&2; exit 3"), tmp_path / "a.aiff")
    assert error.text.endswith("engine.sh ended with status 3: 'no such voice'")
    assert not error.late


def test_a_voice_that_espeak_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match="espeak-ng ended with status 1"):
        CommandEngine(ESPEAK).speak("hello", "en", "xx", tmp_path / "a.aiff")


def test_an_engine_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    template = script(tmp_path, f"sleep 60 & echo $! $$ > {tmp_path}/pids; wait")
    (tmp_path / "pids").touch()
    began = time.monotonic()
    error = failure(template, tmp_path / "a.aiff", seconds=0.3)
    assert error.late
    assert "was not done in 0.3 s and was killed" in error.text
    assert time.monotonic() - began < 5.0
    await_end({int(pid) for pid in (tmp_path / "pids").read_text().split()})


def test_what_an_engine_leaves_running_is_killed_when_it_ends(tmp_path: Path) -> None:
    lines = f'sleep 60 & echo $! > {tmp_path}/pids; espeak-ng --stdin -w "$1"'
    CommandEngine(script(tmp_path, lines)).speak("hello", "en", "", tmp_path / "a.aiff")
    await_end({int((tmp_path / "pids").read_text())})


@pytest.mark.parametrize("lines", ["true", ': > "$1"'])
def test_an_engine_that_writes_nothing_is_told(tmp_path: Path, lines: str) -> None:
    assert failure(script(tmp_path, lines), tmp_path / "a.aiff").text.endswith(
        "ended well, but wrote nothing into {file}"
    )


def test_an_engine_that_writes_rubbish_is_told(tmp_path: Path) -> None:
    error = failure(script(tmp_path, 'echo rubbish > "$1"'), tmp_path / "a.aiff")
    assert "engine.sh wrote cannot be used: it is no sound that ffmpeg can read" in error.text


def test_a_wav_file_without_a_sound_in_it_is_told(tmp_path: Path) -> None:
    empty = write_hum(tmp_path / "empty.wav", 0.0)
    assert "cannot be used" in failure(script(tmp_path, f'cp {empty} "$1"'), tmp_path / "a.aiff").text


@pytest.mark.parametrize(("rate", "channels"), [(22050, 2), (96000, 1), (48000, 1)])
def test_what_rtpengine_may_not_play_at_once_is_converted(tmp_path: Path, rate: int, channels: int) -> None:
    source = write_hum(tmp_path / "source.wav", 0.5, rate=rate, channels=channels)
    assert not duration(source)
    CommandEngine(script(tmp_path, f'cp {source} "$1"')).speak("hello", "en", "", tmp_path / "a.aiff")
    assert duration(tmp_path / "a.aiff") == pytest.approx(0.5, abs=0.01)


def test_a_header_that_was_made_for_a_pipe_is_mended(tmp_path: Path) -> None:
    CommandEngine(script(tmp_path, 'espeak-ng --stdin --stdout > "$1"')).speak("hello", "en", "", tmp_path / "a.aiff")
    assert 0.2 < duration(tmp_path / "a.aiff") < 2.0


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        SpeechError, match=r"none cannot be written to \(No such file or directory\); check speech.folder"
    ):
        CommandEngine(ESPEAK).speak("hello", "en", "", tmp_path / "none" / "a.aiff")


def test_the_file_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    template = script(tmp_path, f'echo RIFF > "$1"; ls {tmp_path} > {tmp_path}/seen; espeak-ng --stdin -w "$1"')
    CommandEngine(template).speak("hello", "en", "", tmp_path / "a.aiff")
    assert "a.aiff" not in (tmp_path / "seen").read_text().split()
    assert duration(tmp_path / "a.aiff")


def test_silence_at_the_ends_is_taken_off(tmp_path: Path) -> None:
    """Else it would add to the pauses that were asked for."""
    voice, silence = [3000, -3000] * 2400, [0, 5] * 12000
    path = tmp_path / "speech.aiff"
    for samples, seconds in (([*silence, *voice, *silence], 0.14), (silence, 0.5)):
        write(path, array.array("h", samples))
        trim(path)
        assert duration(path) == pytest.approx(seconds, abs=0.001)
