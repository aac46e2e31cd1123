"""What the demo sees of one transfer, and how it names what was heard in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.recognise import recognise
from cli.speech.sound_file import duration
from cli.tones import PAUSE, UNKNOWN, without_crumbs
from routing.records import Party
from routing.speech import file_of
from routing.transfer_record import Sound as Played
from routing.transfer_record import Standard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cli.demo_messages import Message
    from cli.phones import MediaPath, PhoneCall
    from cli.tones import Sound
    from routing.outcomes import Mode
    from routing.settings import Speech
    from routing.transfer_record import Transfer

SUMMARY_HEADER = "X-Handoff-Summary"
MUSIC, FIXED_MESSAGE = "music", "the fixed message"
SHORTEST = 0.05
"""Seconds: what is shorter means nothing; a window in which one voice follows another has a bit of both."""


@dataclass(frozen=True, slots=True)
class Task:
    """A transfer to play: its mode, the message of the target, and the summary that the agent sends with REFER."""

    mode: Mode
    message: str = ""
    summary: str = ""

    @property
    def text(self) -> str:
        """What the person is to hear in words; in the tables it bears the name of the mode."""
        return self.summary or self.message


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of one transfer; times are `time.time()` in seconds.

    `windows` is who was heard in each 20 ms, `sounds` the same without what is too short to mean anything. `before` and
    `after` are the caller's media before REFER and at the end; `text_seconds` is how long the text lasts; `left` names
    what still holds something of the call.
    """

    task: Task
    began: float
    messages: tuple[Message, ...]
    windows: dict[Party, list[Sound]]
    sounds: dict[Party, list[Sound]]
    before: MediaPath
    after: MediaPath
    transfer: Transfer
    text_seconds: float
    left: tuple[str, ...]

    @property
    def mode(self) -> Mode:
        """The mode of the transfer."""
        return self.task.mode


def files_of(task: Task, speech: Speech) -> dict[str, Path]:
    """Find the files that may be heard in a transfer, by the names that they have in the tables."""
    files = {MUSIC: file_of(speech, Standard.MUSIC), FIXED_MESSAGE: file_of(speech, Standard.MESSAGE)}
    if task.text:
        files[task.mode] = file_of(speech, Played(text=task.text))
    return {name: file for name, file in files.items() if file.exists()}


def seconds_of(task: Task, files: Mapping[str, Path]) -> float:
    """Measure how long the text of a transfer lasts; 0 without one."""
    return duration(files[task.mode]) if task.mode in files else 0.0


def hear(party: Party, call: PhoneCall, files: Mapping[str, Path]) -> list[Sound]:
    """Tell who was heard in each 20 ms, from the first sound to the last; the call must be over.

    A person who is briefed hears silence first: that belongs to it, for other phones it is the time before the call.
    """
    recording = call.phone.phones.folder / f"{call.phone.name}.{call.number}.wav"
    windows = recognise(call.heard(shortest=0), recording, files)
    voiced = [index for index, sound in enumerate(windows) if sound.name not in {PAUSE, UNKNOWN}]
    if not voiced:
        return []
    briefed = party is Party.TARGET and windows[voiced[0]].name in files
    return windows[0 if briefed else voiced[0] : voiced[-1] + 1]


def without_short_ones(windows: Mapping[Party, list[Sound]]) -> dict[Party, list[Sound]]:
    """Leave out what is too short to mean anything."""
    return {party: without_crumbs(sounds, SHORTEST) for party, sounds in windows.items()}
