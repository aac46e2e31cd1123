"""Load made with SIPp: plain calls, and calls that the agent hands over by REFER."""

from __future__ import annotations

import csv
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack import sipp
from tests.stack.sipp import Sipp, SippError, free_port, receive, reply, request, scenario, send

if TYPE_CHECKING:
    from tests.stack.message import Endpoint

TARGET = "support"
TALK_MS = 200
"""Milliseconds that caller and agent talk before the BYE, or the REFER."""
RING_MS = 50
"""Milliseconds that a target rings."""
TRANSFERRED_MS = 1500
"""Milliseconds from the answer to the BYE of a caller who is transferred meanwhile."""
_GRACE = 10  # seconds for the last calls to end, and for what was lost to be sent again
_HELD_MS = 600_000  # how long agent and target wait for a BYE


def _caller(talk_ms: int) -> str:
    return scenario(
        sipp.invite(),
        '<recv response="100" optional="true"/>',
        receive(200),
        request("ACK"),
        sipp.pause(talk_ms),
        request("BYE"),
        receive(200),
    )


_ANSWERER = scenario(
    receive("INVITE", timeout_ms=_HELD_MS),
    reply(200, sdp=True, retransmit=True),
    receive("ACK"),
    receive("BYE", timeout_ms=_HELD_MS),
    reply(200),
)
_TARGET = scenario(
    receive("INVITE", timeout_ms=_HELD_MS),
    reply(180),
    sipp.pause(RING_MS),
    reply(200, sdp=True, retransmit=True),
    receive("ACK"),
    receive("BYE", timeout_ms=_HELD_MS),
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
    receive("INVITE", timeout_ms=_HELD_MS, action=_keep("From", "from") + _keep("To", "to")),
    reply(200, sdp=True, retransmit=True),
    receive("ACK"),
    sipp.pause(TALK_MS),
    _of_agent("REFER", 1, f"Refer-To: <sip:{TARGET}@handoff.example>"),
    receive(202),
    '<label id="1"/>',
    _goto(receive("BYE", optional=True), "3"),
    receive("NOTIFY", action='<ereg regexp="SIP/2.0 200" search_in="body" assign_to="final"/>'),
    _goto(reply(200), "2", test="final"),
    _goto("<nop></nop>", "1"),
    '<label id="2"/>',
    _of_agent("BYE", 2),
    _goto(receive(200), "4"),
    '<label id="3"/>',
    reply(200),
    '<label id="4"/>',
    "<nop></nop>",
)


class _Caller(Sipp):
    """Calls, and is done when all its calls are; -l lifts SIPp's limit of open calls, which would lower the rate."""

    def __init__(self, proxy: Endpoint, *, calls: int, rate: float, talk_ms: int) -> None:
        seconds = round(calls / rate + talk_ms / 1000 + _GRACE)
        options = ("-l", str(calls))
        super().__init__(
            _caller(talk_ms), remote=proxy, calls=calls, rate=rate, seconds=seconds, options=options, trace=False
        )


class _Callee(Sipp):
    """Takes calls until `calls` went as they should.

    SIPp's own count (-m) would not do: a BYE that is sent again after the end of its call counts there as a new call.
    """

    def __init__(self, steps: str, *, calls: int, port: int) -> None:
        self._wanted = calls
        super().__init__(steps, calls=1_000_000, seconds=_HELD_MS // 1000, port=port, trace=False)
        self._arguments += ["-trace_stat", "-fd", "1", "-stf", self._file("stat.csv")]

    def wait(self) -> None:
        """Wait until all went well; SippError when they have not a while after the callers are done."""
        deadline = time.monotonic() + _GRACE
        while (went := self._went()) < self._wanted:
            if time.monotonic() > deadline:
                raise SippError(f"{self._wanted - went} of {self._wanted} calls failed at the callee\n{self._report()}")
            time.sleep(0.1)  # SIPp writes its counts once a second

    def _went(self) -> int:
        path = Path(self._file("stat.csv"))
        lines = path.read_text().splitlines() if path.exists() else []
        rows = list(csv.DictReader([line for line in lines if line.count(";") == lines[0].count(";")], delimiter=";"))
        return int(rows[-1]["SuccessfulCall(C)"]) if rows else 0


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
    with (
        _Callee(_ANSWERER, calls=calls, port=ports.agent),
        _Caller(proxy, calls=calls, rate=rate, talk_ms=TALK_MS),
    ):
        pass


def transfers(proxy: Endpoint, ports: Ports, *, calls: int, rate: float, caller_ms: int = TRANSFERRED_MS) -> ExitStack:
    """Begin calls that are each handed over once; leaving what this gives waits for their end.

    Raises SippError unless each caller, agent and target saw just what it should; a caller whose transfer is not done
    `caller_ms` after the answer hangs up too early, and that shows at the target.
    """
    with ExitStack() as stack:
        stack.enter_context(_Callee(_TARGET, calls=calls, port=ports.target))
        stack.enter_context(_Callee(_AGENT, calls=calls, port=ports.agent))
        stack.enter_context(_Caller(proxy, calls=calls, rate=rate, talk_ms=caller_ms))
        return stack.pop_all()
