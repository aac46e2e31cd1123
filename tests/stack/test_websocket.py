"""Web pages connect by WebSocket (RFC 7118): who is let in, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from cli.probes import unchecked
from tests.stack.web_system import WebSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGE = "https://app.example.com"
INVITE = (
    "INVITE sip:+4930123456@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS page.invalid;branch=z9hG4bKpage\r\n"
    "From: <sip:page@127.0.0.1>;tag=1\r\nTo: <sip:+4930123456@127.0.0.1>\r\nCall-ID: page\r\nCSeq: 1 INVITE\r\n"
    "Contact: <sip:page@page.invalid;transport=ws>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSystem]:
    folder = tmp_path_factory.mktemp("ca")
    with WebSystem("sip:agent@127.0.0.1:9", folder=folder, sip={"origins": [PAGE]}) as system:
        yield system


def connect(system: WebSystem, place: str) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", system.places[place]), timeout=10)
    return unchecked().wrap_socket(line) if place in {"wss", "tls"} else line


def ask(line: socket.socket, **changes: str | None) -> tuple[int, dict[str, str]]:
    """Ask for a WebSocket, as a page does but for these changes; gives status and header fields."""
    fields = {
        "Host": "127.0.0.1",
        "Origin": PAGE,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "sip",
    }
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in (fields | changed).items() if value is not None]
    line.sendall("\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = line.recv(4096)
        assert more, answer
        answer += more
    status, *given = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return int(status.split()[1]), {name.lower(): value for name, value in (each.split(": ", 1) for each in given)}


@pytest.mark.parametrize("place", ["ws", "wss"])
def test_a_page_gets_its_websocket(system: WebSystem, place: str) -> None:
    with connect(system, place) as line:
        status, given = ask(line)
    key = base64.b64encode(b"0123456789abcdef")
    assert status == 101
    assert given["sec-websocket-protocol"] == "sip"
    assert given["sec-websocket-accept"] == base64.b64encode(hashlib.sha1(key + ACCEPT).digest()).decode()


@pytest.mark.parametrize(
    ("place", "changes", "status"),
    [
        ("tcp", {}, 404),
        ("tls", {}, 404),
        ("ws", {"Upgrade": None}, 426),
        ("ws", {"Sec_WebSocket_Version": "7"}, 426),
        ("ws", {"Sec_WebSocket_Protocol": None}, 400),
        ("ws", {"Sec_WebSocket_Protocol": "msrp, sipx"}, 400),
        ("ws", {"Sec_WebSocket_Key": None}, 400),
        ("ws", {"Origin": "https://elsewhere.example.com"}, 403),
        ("wss", {"Origin": None}, 403),
    ],
)
def test_other_http_is_refused_and_its_connection_closed(
    system: WebSystem, place: str, changes: dict[str, str | None], status: int
) -> None:
    with connect(system, place) as line:
        assert ask(line, **changes)[0] == status
        while line.recv(4096):
            pass


def test_a_page_cannot_make_calls_whatever_its_address(system: WebSystem) -> None:
    """It comes from this machine, whose calls the default trunk takes; so does all that a proxy passes on."""
    with connect(system, "ws") as line:
        ask(line)
        data, mask = INVITE.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        line.sendall(b"\x81" + bytes([0x80 | 126]) + len(data).to_bytes(2, "big") + mask + masked)
        assert b"SIP/2.0 403 Not a trunk of this system" in line.recv(4096)
