"""Checks of whom handoff talks with over the network: rtpengine, Kamailio, agents, and the metrics endpoint."""

from __future__ import annotations

import contextlib
import http.client
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding, Status, failed, ok, warning
from cli.diagnosis.options import NoAnswer, send_options
from cli.effective import START
from cli.ports import BELOW_WEBSOCKET, split_listen
from cli.probes import WILDCARDS
from routing.texts import split_host_port
from routing.uris import transport_of
from routing.values import parse_sip_uri
from rtpengine import Client, Ping, RtpengineError

if TYPE_CHECKING:
    from routing.settings import Settings

NG_DEADLINE = 1.0
HTTP_DEADLINE = 4.0
EXPORTER_TRIES, EXPORTER_PAUSE = 10, 0.2
PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


def check_media_node(name: str, address: str) -> list[Finding]:
    """Check that an rtpengine node answers a ping."""
    part = f"rtpengine {name}"
    try:
        client = Client(name, address, deadline=NG_DEADLINE)
        client.request(Ping())
        client.close()
    except RtpengineError as error:
        mend = f"check that it runs with --listen-ng={address}, and the network in between"
        return [failed(part, error.text, mend)]
    return [ok(part, f"answers at {address}")]


def check_listening(listen: str) -> list[Finding]:
    """Check that our Kamailio answers OPTIONS where it should listen."""
    part = f"sip {listen}"
    transport, address, port = split_listen(listen)
    transport, address = BELOW_WEBSOCKET.get(transport, transport), WILDCARDS.get(address, address)
    host = f"[{address}]" if ":" in address else address
    try:
        status = send_options(f"sip:{host}:{port}", transport, address, port)
    except NoAnswer as error:
        return [failed(part, f"Kamailio does not answer OPTIONS: {error}", f"{START}; if it runs, look at its log")]
    if status == 503:
        return [warning(part, "takes no new calls: it is about to end", "see its log, and start it when it has ended")]
    if status != 200:
        mend = "see whether another program listens there, and at Kamailio's log"
        return [warning(part, f"answers OPTIONS with {status} instead of 200", mend)]
    return [ok(part, "answers OPTIONS")]


def check_agent(uri: str) -> list[Finding]:
    """Check that an agent answers OPTIONS; only a warning, since one agent less is what pools are for."""
    part = f"agent {uri}"
    parsed = parse_sip_uri(uri)
    transport = transport_of(uri) or "udp"
    try:
        status = send_options(uri, transport, parsed.host.strip("[]"), parsed.port or PORTS[transport])
    except NoAnswer as error:
        mend = "check that it runs, its URI, and that it takes SIP from here"
        return [warning(part, f"does not answer OPTIONS: {error}", mend)]
    if status >= 500:
        return [warning(part, f"answers OPTIONS with {status}", "look at its log")]
    return [ok(part, f"answers OPTIONS with {status}")]


def judge_pool(pool: str, agents: list[Finding]) -> list[Finding]:
    """Say of the agents of a pool what the loss of the bad ones means: little, or that nobody takes its calls."""
    if any(agent.status is Status.OK for agent in agents):
        on = f"; pool {pool} goes on without it"
        return [agent if agent.status is Status.OK else replace(agent, what=agent.what + on) for agent in agents]
    nobody = "its only agent does not answer" if len(agents) == 1 else f"none of its {len(agents)} agents answers"
    what = f"{nobody}; its calls are refused with 503"
    return [failed(f"pool {pool}", what, "see what is said of its agents"), *agents]


def check_metrics(settings: Settings) -> list[Finding]:
    """Check that the exporter answers."""
    part = f"metrics {settings.metrics.listen}"
    host, port = split_host_port(settings.metrics.listen)
    bare = host.strip("[]")
    connection = http.client.HTTPConnection(WILDCARDS.get(bare, bare), port, timeout=HTTP_DEADLINE)
    try:
        _connect(connection)
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        ours = b"handoff_build_info" in reply.read(10_000_000)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return [failed(part, f"it does not answer: {why}", f"{START}, or `handoff exporter`")]
    finally:
        connection.close()
    if reply.status != 200 or not ours:
        mend = "see which program listens there, or give metrics.listen another port"
        return [failed(part, f"what answers there is not our exporter (status {reply.status})", mend)]
    return [ok(part, "answers")]


def _connect(connection: http.client.HTTPConnection) -> None:
    """Try again where nobody listens: the exporter is the last to start, and `up` is ready before it is."""
    for _ in range(EXPORTER_TRIES):
        with contextlib.suppress(ConnectionRefusedError):
            return connection.connect()
        time.sleep(EXPORTER_PAUSE)  # a port tells nobody that somebody listens now
    return connection.connect()
