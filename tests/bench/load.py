"""Load made with SIPp: plain calls, and calls that the agent hands over by REFER."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.stack import sipp
from tests.stack.sipp import Sipp, free_port, receive, reply, request, scenario, send

if TYPE_CHECKING:
    from tests.stack.message import Endpoint

TARGET = "support"
TALK_MS = 200
"""Milliseconds that caller and agent talk before the BYE, or the REFER."""
RING_MS = 50
"""Milliseconds that a target rings."""
TRANSFERRED_MS = 1500
"""Milliseconds from the answer to the BYE of a caller who is transferred meanwhile."""
_GRACE = 15  # seconds for the last calls to end, and for what was lost to be sent again


def _caller(talk_ms: int) -> str:
    return scenario(
        sipp.invite(),
        receive(100, optional=True),
        receive(180, optional=True),
        receive(200),
        request("ACK"),
        sipp.pause(talk_ms),
        request("BYE"),
        receive(200),
    )


_ANSWERER = scenario(
    receive("INVITE"), reply(200, sdp=True, retransmit=True), receive("ACK"), receive("BYE", timeout_ms=60000), reply(200)
)
_TARGET = scenario(
    receive("INVITE"),
    reply(180),
    sipp.pause(RING_MS),
    reply(200, sdp=True, retransmit=True),
    receive("ACK"),
    receive("BYE", timeout_ms=60000),
    reply(200),
)


def _keep(header: str, name: str) -> str:
    return f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{name}"/>'


def _of_agent(method: str, cseq: int, *headers: str) -> str:
    """Send a request of the agent, who was called: its own From is the To of the INVITE."""
    lines = [
        f"{method} [next_url] SIP/2.0",
        "[routes]",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]",
        "From:[$to];tag=[pid]SIPp[call_number]",
        "To:[$from]",
        "Call-ID: [call_id]",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:[service]@[local_ip]:[local_port]>",
        "Max-Forwards: 70",
        *headers,
        "Content-Length: 0",
        "",
    ]
    return send("\n".join(lines), retransmit=True)


def _goto(step: str, label: str, test: str = "") -> str:
    """Go on elsewhere after a step, if the variable `test` is set."""
    where = f' next="{label}"' + (f' test="{test}"' if test else "")
    return step.replace(">", f"{where}>", 1)


# Hangs up when the NOTIFY says 200, as most do. Two NOTIFYs within a millisecond are answered by SIPp itself (-aa), and
# if the final one is among them, handoff hangs up.
_AGENT = scenario(
    receive("INVITE", action=_keep("From", "from") + _keep("To", "to")),
    reply(200, sdp=True, retransmit=True),
    receive("ACK"),
    sipp.pause(TALK_MS),
    _of_agent("REFER", 1, f"Refer-To: <sip:{TARGET}@handoff.example>"),
    receive(202),
    '<label id="1"/>',
    _goto(receive("BYE", optional=True), "3"),
    receive("NOTIFY", action='<ereg regexp="SIP/2.0 200" search_in="body" assign_to="final"/>'),
    _goto(reply(200), "2", test="final"),
    _goto("<nop/>".replace("/>", "></nop>"), "1"),
    '<label id="2"/>',
    _of_agent("BYE", 2),
    _goto(receive(200), "4"),
    '<label id="3"/>',
    reply(200),
    '<label id="4"/>',
    "<nop></nop>",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where agent and target of a load listen."""

    agent: int = field(default_factory=free_port)
    target: int = field(default_factory=free_port)

    @property
    def agent_uri(self) -> str:
        """The URI of the agent."""
        return f"sip:agent@127.0.0.1:{self.agent}"

    @property
    def target_uri(self) -> str:
        """The URI of the target."""
        return f"sip:target@127.0.0.1:{self.target}"


def plain_calls(proxy: Endpoint, ports: Ports, *, calls: int, rate: float) -> None:
    """Make calls without RTP that end by the caller's BYE; raises SippError unless each of them was as it should be."""
    with ExitStack() as stack:
        stack.enter_context(_sipp(_ANSWERER, calls, rate, port=ports.agent))
        stack.enter_context(_sipp(_caller(TALK_MS), calls, rate, remote=proxy))


def transfers(
    proxy: Endpoint, ports: Ports, *, calls: int, rate: float, caller_ms: int = TRANSFERRED_MS
) -> ExitStack:
    """Begin calls that are each handed over once; leaving what this gives waits for their end.

    Raises SippError unless each caller, agent and target saw just what it should; a caller whose transfer is not done
    `caller_ms` after the answer hangs up too early, and that shows at the target.
    """
    seconds = caller_ms / 1000
    stack = ExitStack()
    try:
        stack.enter_context(_sipp(_TARGET, calls, rate, port=ports.target, more=seconds))
        stack.enter_context(_sipp(_AGENT, calls, rate, port=ports.agent, more=seconds))
        stack.enter_context(_sipp(_caller(caller_ms), calls, rate, remote=proxy, more=seconds))
    except BaseException:
        stack.close()
        raise
    return stack


def _sipp(
    steps: str, calls: int, rate: float, *, remote: Endpoint | None = None, port: int | None = None, more: float = 0
) -> Sipp:
    seconds = round(calls / rate + more + _GRACE)
    options = ("-l", str(calls), "-buff_size", "4194304")  # -l: no hidden limit, which would lower the rate
    return Sipp(
        steps, remote=remote, calls=calls, rate=rate, seconds=seconds, port=port, options=options, trace=False
    )
