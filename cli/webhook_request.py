"""One HTTP request with a deadline for all of it, however slowly a receiver takes or gives each byte."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import h11

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = 4096
PORTS = {"http": 80, "https": 443}
HEAD_START = 0.25
"""Seconds after which the next address of a host is tried as well (RFC 8305)."""


async def post(url: str, headers: Mapping[str, str], body: str, timeout: float, trust: ssl.SSLContext) -> str:
    """Post once; gives why it failed, or "" when the receiver has it.

    `timeout` is in seconds, and for everything: looking up the host, connecting, TLS, the request, and the response up
    to the end of its header; its body says nothing. `trust` says who may certify hosts.
    """
    try:
        async with asyncio.timeout(timeout):
            status = await _exchange(url, headers, body.encode(), trust)
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except ssl.SSLError as error:
        return f"no TLS ({error})"
    except h11.RemoteProtocolError as error:
        return f"it answered what is no HTTP ({error})"
    except OSError as error:
        return f"no connection ({_words(error)})"
    return "" if 200 <= status < 300 else f"it answered {status}"


async def _exchange(url: str, headers: Mapping[str, str], body: bytes, trust: ssl.SSLContext) -> int:
    """Send the request, and give the status of its response."""
    parts = urlsplit(url)
    target = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe="/?%:@!$&'()*+,;=~-._")
    fields = {"Host": parts.netloc, "Content-Length": str(len(body)), "Connection": "close", **headers}
    http = h11.Connection(h11.CLIENT)
    request = h11.Request(method="POST", target=target, headers=list(fields.items()))
    sent = [http.send(event) or b"" for event in (request, h11.Data(data=body), h11.EndOfMessage())]
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or PORTS[parts.scheme],
        ssl=trust if parts.scheme == "https" else None,
        happy_eyeballs_delay=HEAD_START,
    )
    try:
        writer.write(b"".join(sent))
        while not isinstance(event := http.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                if not (data := await reader.read(READ)):
                    raise ConnectionError("it was closed before the answer")
                http.receive_data(data)
        return event.status_code
    finally:
        writer.transport.abort()  # a polite end of TLS would wait for the receiver


def _words(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)
