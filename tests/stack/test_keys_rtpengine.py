"""The keys that a person presses are told by the real rtpengine, in the words that the key listener understands."""

from __future__ import annotations

import json
import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from cli.keys import KeyListener
from cli.ports import free_port
from routing.outcomes import Mode
from routing.records import Party
from routing.transfer_record import Accept, Hold, Sound
from tests.rtpengine.contract import sound
from tests.stack.frames import Stage, planned
from tests.stack.test_rtpengine import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIVE, POUND = 5, 11
ACCEPTING = planned(
    mode=Mode.MESSAGE,
    hold=Hold.MUSIC,
    accept=Accept(key="5", prompt=Sound(text="press five"), rounds=1, seconds=5),
)


class Keys:
    """A key listener, and the keys that it has told."""

    def __init__(self, address: str) -> None:
        self.pressed: list[tuple[str, str, str]] = []
        self.listener = KeyListener(address, lambda *key: self.pressed.append(key))

    def wait(self, count: int) -> list[tuple[str, str, str]]:
        """Wait until so many keys were told in all."""
        deadline = time.monotonic() + 3
        while len(self.pressed) < count:
            assert select.select([self.listener], [], [], max(0, deadline - time.monotonic()))[0], self.pressed
            self.listener.read()
        return self.pressed


@pytest.fixture(scope="module")
def address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def daemon(address: str) -> Iterator[Daemon]:
    with Daemon(f"--dtmf-log-dest={address}") as daemon:
        yield daemon


@pytest.fixture
def keys(address: str) -> Iterator[Keys]:
    keys = Keys(address)
    yield keys
    keys.listener.close()


@pytest.mark.parametrize("events", [True, False], ids=["caller has events", "caller has none"])
@pytest.mark.parametrize("codec", ["PCMU", "G722", "opus"])
def test_each_key_of_a_person_is_told_once_while_it_is_briefed(
    daemon: Daemon, keys: Keys, tmp_path: Path, codec: str, *, events: bool
) -> None:
    """With and without transcoding, whatever the caller can; the same key twice is two keys."""
    with Stage(daemon, ACCEPTING, codec=codec, events=events) as stage:
        stage.media.hold(stage.call, None)
        stage.open()
        stage.media.play(stage.call, Party.TARGET, sound(tmp_path / "prompt.wav"))
        told = []
        for event, key in ((FIVE, "5"), (FIVE, "5"), (POUND, "#")):
            stage.person.press(event)
            told.append((stage.call.id, "leg1", key))
            assert keys.wait(len(told)) == told
        assert keys.listener.garbage == 0


def test_keys_of_a_caller_who_is_held_are_told_under_its_own_name(daemon: Daemon, keys: Keys) -> None:
    """So that whoever waits for the person's key must look whose it is."""
    with Stage(daemon, ACCEPTING, events=True) as stage:
        stage.media.hold(stage.call, None)
        stage.caller.press(POUND)
        assert keys.wait(1) == [(stage.call.id, "caller", "#")]


def test_the_words_of_rtpengine(daemon: Daemon, address: str) -> None:
    """Exactly these; newer ones add a label."""
    host, port = address.split(":")
    with Stage(daemon, ACCEPTING) as stage, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind((host, int(port)))
        log.settimeout(3)
        stage.open()
        stage.person.press(FIVE)
        entry = json.loads(log.recv(65535))
    tags, at, _ = entry.pop("tags"), entry.pop("timestamp"), entry.pop("source_label", "")
    assert set(tags) == {"caller", "agent", "shadow1", "leg1"}
    assert abs(at - time.time()) < 10
    assert entry == {
        "callid": stage.call.id,
        "source_tag": "leg1",
        "type": "DTMF",
        "source_ip": "127.0.0.1",
        "event": FIVE,
        "duration": 120,
        "volume": 10,
    }
