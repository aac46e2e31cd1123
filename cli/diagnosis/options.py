"""Asks a SIP host whether it is there, with OPTIONS (RFC 3261 section 11)."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import time
from typing import TYPE_CHECKING

from cli.probes import unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

T1 = 0.5
"""Seconds after which a request over UDP is sent again (RFC 3261 section 17.1.2.1), without doubling: we have few."""
STATUS_LINE = re.compile(rb"SIP/2\.0 ([1-6]\d\d) ")
LONGEST = 65535


class NoAnswer(Exception):
    """The host did not answer; the text says why."""


def send_options(uri: str, transport: str, host: str, port: int, deadline: float = 2.0) -> int:
    """Send OPTIONS to `uri` at a host, over "udp", "tcp" or "tls", and give the final status; raises NoAnswer.

    The name lookup of a host is outside the deadline, in seconds. Certificates are not checked.
    """
    until = time.monotonic() + deadline
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=kind)[0]
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(family, kind, protocol))
            connection.settimeout(deadline)
            connection.connect(place)
            if transport == "tls":
                connection = stack.enter_context(unchecked().wrap_socket(connection, server_hostname=host))
            call_id = secrets.token_hex(8)
            request = _request(uri, transport, connection.getsockname(), call_id)
            receive = _datagrams if transport == "udp" else _stream
            for message in receive(connection, request, until):
                status = STATUS_LINE.match(message)
                if status and _is_about(call_id, message) and int(status[1]) >= 200:
                    return int(status[1])
    except TimeoutError:
        pass
    except socket.gaierror as error:
        raise NoAnswer(f"{host} is not found ({error.strerror})") from error
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from error
    raise NoAnswer(f"no answer in {deadline:g} s")


def _request(uri: str, transport: str, local: tuple[object, ...], call_id: str) -> bytes:
    host = f"[{local[0]}]" if ":" in str(local[0]) else local[0]
    here = f"{host}:{local[1]}"
    lines = (
        f"OPTIONS {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} {here};branch=z9hG4bK{call_id};rport",
        "Max-Forwards: 70",
        f"From: <sip:doctor@{here}>;tag={call_id[:8]}",
        f"To: <{uri}>",
        f"Call-ID: {call_id}",
        "CSeq: 1 OPTIONS",
        f"Contact: <sip:doctor@{here};transport={transport}>",
        "Accept: application/sdp",
        "User-Agent: handoff doctor",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


def _is_about(call_id: str, message: bytes) -> bool:
    return re.search(rb"\n(?:Call-ID|i)[ \t]*:\s*%b\s" % call_id.encode(), message, re.IGNORECASE) is not None


def _datagrams(connection: socket.socket, request: bytes, until: float) -> Iterator[bytes]:
    while (now := time.monotonic()) < until:
        connection.send(request)
        again = min(until, now + T1)
        with contextlib.suppress(TimeoutError):
            while (left := again - time.monotonic()) > 0:
                connection.settimeout(left)
                yield connection.recv(LONGEST)


def _stream(connection: socket.socket, request: bytes, until: float) -> Iterator[bytes]:
    connection.sendall(request)
    text = b""
    while (left := until - time.monotonic()) > 0 and len(text) < LONGEST:
        connection.settimeout(left)
        received = connection.recv(LONGEST)
        if not received:
            raise ConnectionResetError("it closed the connection")
        text += received
        while b"\r\n\r\n" in text:  # a body, which nobody sends here, would be passed over as no message
            message, end, text = text.partition(b"\r\n\r\n")
            yield message + end
