"""Keys as rtpengine tells them, and what else may come to a UDP port."""

from __future__ import annotations

import json
import logging
import select
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.keys import KeyListener, read_key
from cli.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY = {
    "callid": "0123456789abcdef",
    "source_tag": "leg1",
    "tags": ["caller", "leg1"],
    "type": "DTMF",
    "timestamp": 1700000000,
    "source_ip": "127.0.0.1",
    "event": 5,
    "duration": 120,
    "volume": 10,
}


def words(**changes: object) -> bytes:
    """Write what rtpengine says of a key."""
    return json.dumps(ENTRY | changes).encode()


class Line:
    """A listener, what it told, and a way to send to it."""

    def __init__(self) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.pressed: list[tuple[str, str, str]] = []
        self.listener = KeyListener(self.address, lambda *key: self.pressed.append(key))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))

    def send(self, *datagrams: bytes) -> list[tuple[str, str, str]]:
        """Send datagrams and have them read; gives all keys so far."""
        for datagram in datagrams:
            self._socket.send(datagram)
        assert select.select([self.listener], [], [], 3)[0]
        self.listener.read()
        return self.pressed

    def close(self) -> None:
        """Hang up."""
        self.listener.close()
        self._socket.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_each_key_is_told_once_and_in_order(line: Line) -> None:
    """All that are there at once."""
    told = line.send(*(words(event=event) for event in (5, 5, 11)))
    assert told == [("0123456789abcdef", "leg1", key) for key in ("5", "5", "#")]


@pytest.mark.parametrize(("event", "key"), list(enumerate("0123456789*#ABCD")))
def test_events_are_named_by_their_keys(event: int, key: str) -> None:
    """RFC 4733 section 3.2."""
    assert read_key(words(event=event)) == ("0123456789abcdef", "leg1", key)


def test_where_nothing_is_there_nothing_is_told(line: Line) -> None:
    """And nobody waits."""
    line.listener.read()
    assert line.pressed == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b"[" * 60000,
        b'{"type":"DTMF"}',
        words(type="MOS"),
        words(event=16),
        words(event=-1),
        words(event="5"),
        words(event=True),
        words(callid=7),
        words(callid="a b"),
        words(callid="a\r\nb"),
        words(source_tag=""),
        words(source_tag="x" * 65),
    ],
    ids=lambda garbage: repr(garbage[:20]),
)
def test_garbage_is_counted_told_and_ignored(line: Line, caplog: pytest.LogCaptureFixture, garbage: bytes) -> None:
    """And the key after it is heard."""
    with caplog.at_level(logging.WARNING, "handoff.keys"):
        assert line.send(garbage, words()) == [("0123456789abcdef", "leg1", "5")]
    assert line.listener.garbage == 1
    assert len(caplog.records) == 1


def test_much_garbage_does_not_fill_the_log(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    """One line for a hundred."""
    for _ in range(101):
        line.send(b"hello")
    assert [record.args and record.args[-1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 101]


@given(st.binary(max_size=60))
def test_whatever_comes_is_a_key_or_garbage(datagram: bytes) -> None:
    """Nothing else is raised."""
    with pytest.raises(ValueError, match=r".+"):
        read_key(datagram)


def test_an_address_that_is_taken_is_an_error(line: Line) -> None:
    """Two cannot share the keys."""
    with pytest.raises(OSError, match="in use"):
        KeyListener(line.address, lambda *_: None)
