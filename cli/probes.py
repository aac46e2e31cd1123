"""Whether a daemon answers yet: one short question each."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from cli.ports import BELOW_WEBSOCKET, KINDS, split_listen
from routing.store import StoreError, layout, open_store
from routing.store.server import Server
from rtpengine import Client, Ping, RtpengineError

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 0.3
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened at


def redis_answers(url: str) -> bool:
    """Ask Redis for a PONG."""
    with contextlib.suppress(StoreError), open_store(url, deadline=PATIENCE) as store:
        store.ping()
        return True
    return False


def count_calls(url: str, node: str) -> int | None:
    """Count the active calls of a node; None when Redis does not tell within PATIENCE, a name lookup included."""
    told: list[int] = []

    def ask() -> None:
        server = Server(url)
        with contextlib.suppress(RedisError, OSError):
            until = time.monotonic() + PATIENCE
            shards = server.exchange([("ZRANGE", key, 0, -1) for key in layout.DEADLINES], until)
            members = [each.decode() for shard in shards if isinstance(shard, list) for each in shard]
            told.append([member.partition("@")[2] for member in members].count(node))
        server.close()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return told[0] if told else None


def rtpengine_answers(address: str) -> bool:
    """Ask rtpengine for a pong."""
    client = Client("probe", address, deadline=PATIENCE)
    try:
        client.request(Ping())
    except RtpengineError:
        return False
    finally:
        client.close()
    return True


def sip_answers(listens: Iterable[str]) -> bool:
    """Send OPTIONS (RFC 3261 section 11) to all places that we listen at; say whether each is answered 200."""
    return all(map(_sip_answers, listens))


def node_beats(url: str, node: str, group: int) -> bool:
    """Ask Redis whether Kamailio's timer, a process of this group, gives its sign of life: the last of it to start."""
    with contextlib.suppress(StoreError, ProcessLookupError), open_store(url, deadline=PATIENCE) as store:
        beat = store.nodes().get(node)
        return beat is not None and os.getpgid(beat["pid"]) == group
    return False


def http_answers(address: str) -> bool:
    """Try to connect."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((WILDCARDS.get(host, host).strip("[]"), int(port)), PATIENCE).close()
    except OSError:
        return False
    return True


def _sip_answers(listen: str) -> bool:
    transport, address, port = split_listen(listen)
    transport, address = BELOW_WEBSOCKET.get(transport, transport), WILDCARDS.get(address, address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, KINDS[transport]) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect((address, port))
            with unchecked().wrap_socket(sock) if transport == "tls" else sock as line:
                line.sendall(_options(transport, line.getsockname(), (address, port)))
                return line.recv(65535).startswith(b"SIP/2.0 200 ")
        except OSError:
            return False  # not there yet


def unchecked() -> ssl.SSLContext:
    """Make a TLS context for our own Kamailio on this machine, whose certificate is for the outside."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _options(transport: str, local: tuple[str, int], remote: tuple[str, int]) -> bytes:
    here, there = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in (local[:2], remote))
    token = secrets.token_hex(8)
    lines = [
        f"OPTIONS sip:{there} SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} {here};branch=z9hG4bK{token};rport",
        "Max-Forwards: 1",
        f"From: <sip:up@{here}>;tag={token}",
        f"To: <sip:{there}>",
        f"Call-ID: {token}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()
