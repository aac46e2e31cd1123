"""SIPp as a context manager with its real exit status, and blocks to write its scenarios shortly.

    busy = scenario(receive("INVITE"), reply(486, "Busy Here"), receive("ACK"))
    with Sipp(busy, calls=10) as agent, Sipp(CALLER, remote=("127.0.0.1", agent.port), calls=10) as caller:
        caller.wait()

Leaving the `with` waits for SIPp's own end; a status other than 0 raises SippError with its errors and its last
messages.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack.message import Endpoint

_TAIL = 6000  # characters of SIPp's message trace that are worth showing
_SDP = """\
v=0
o=- 1 1 IN IP[media_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=sendrecv
"""


class SippError(AssertionError):
    """SIPp did not end with status 0."""


class Sipp:
    """One SIPp process running `scenario` (XML text, or the path of a file) from a free port.

    With `remote` it calls, `calls` times at `rate` per second; without, it waits for as many calls. `seconds` is the
    deadline of the whole run. `keys` are for `[name]` in the scenario. `port` is its SIP port, a free one unless given.
    Without `trace` the messages are not written down, which under load costs more than sending them.
    """

    def __init__(
        self,
        scenario: str | Path,
        *,
        remote: Endpoint | None = None,
        user: str = "service",
        calls: int = 1,
        rate: float = 10.0,
        seconds: int = 10,
        keys: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
        address: str = "127.0.0.1",
        port: int | None = None,
        trace: bool = True,
    ) -> None:
        self.port = port or free_port(address)
        self.uri = f"sip:{user}@{address}:{self.port}"
        self._scenario = scenario
        self._seconds = seconds
        self._temporary = tempfile.TemporaryDirectory(prefix="handoff-sipp-")
        self._folder = Path(self._temporary.name)
        self._arguments = [
            *("-i", address, "-p", str(self.port), "-mi", address, "-mp", str(_media_port(address))),
            *("-m", str(calls), "-r", str(rate), "-s", user, "-nostdin", "-aa"),
            *("-timeout", f"{seconds}s", "-timeout_error"),
            *("-trace_err", "-error_file", self._file("errors")),
            *(("-trace_msg", "-message_file", self._file("messages")) if trace else ()),
            *(part for name, value in (keys or {}).items() for part in ("-key", name, value)),
            *options,
            *((f"{remote[0]}:{remote[1]}",) if remote else ()),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        path = self._scenario
        if isinstance(path, str):
            path = Path(self._file("scenario.xml"))
            path.write_text(str(self._scenario))
        with Path(self._file("screen")).open("wb") as screen:
            self._process = subprocess.Popen(
                ["sipp", "-sf", str(path), *self._arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await_port()
        except SippError:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._end()

    def wait(self) -> None:
        """Wait for SIPp's own end; raises SippError with all it said unless its status is 0."""
        assert self._process is not None
        try:
            status = self._process.wait(self._seconds + 2)
        except subprocess.TimeoutExpired:
            raise SippError(f"SIPp did not end within {self._seconds} s\n{self._report()}") from None
        if status != 0:
            raise SippError(f"SIPp ended with status {status}\n{self._report()}")

    def _await_port(self) -> None:
        """Wait until SIPp listens: what is sent to it before is lost."""
        assert self._process is not None
        wanted = f":{self.port:04X} "
        deadline = time.monotonic() + 3
        while not any(wanted in Path("/proc/net", table).read_text() for table in ("udp", "tcp")):
            if self._process.poll() == 0:
                return  # as quick as that
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise SippError(f"SIPp does not start\n{self._report()}")
            time.sleep(0.005)  # it tells nobody when its port is open

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._temporary.cleanup()

    def _file(self, name: str) -> str:
        return str(self._folder / name)

    def _report(self) -> str:
        parts: list[str] = []
        for name in ("errors", "messages", "screen"):
            path = Path(self._file(name))
            text = path.read_text(errors="replace").strip() if path.exists() else ""
            if text and (name != "screen" or not parts):  # the screen only when SIPp says nothing else
                parts.append(f"--- {name}\n{text[-_TAIL:]}")
        return "\n".join(parts)


def free_port(address: str = "127.0.0.1") -> int:
    """Ask the kernel for a port that is free for UDP and TCP: a Kamailio listens on both."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp, suppress(OSError):
            udp.bind((address, 0))
            port: int = udp.getsockname()[1]
            tcp.bind((address, port))
            return port


def _media_port(address: str) -> int:
    """Find a port for audio: SIPp takes the second one after it for video."""
    for _ in range(100):
        port = free_port(address)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as video, suppress(OSError, OverflowError):
            video.bind((address, port + 2))
            return port
    raise SippError("there are no two free ports")


def scenario(*steps: str) -> str:
    """Make a scenario of steps."""
    return '<?xml version="1.0" encoding="us-ascii"?>\n<scenario name="test">\n' + "\n".join(steps) + "\n</scenario>\n"


def receive(what: str | int, *, optional: bool = False, timeout_ms: int = 5000, action: str = "") -> str:
    """Receive a request (a method) or a reply (a status), and note its route set; `action` is XML."""
    kind = "response" if isinstance(what, int) else "request"
    extra = ' optional="true"' if optional else f' timeout="{timeout_ms}"'
    inner = f"<action>{action}</action>" if action else ""
    return f'<recv {kind}="{what}" rrs="true"{extra}>{inner}</recv>'


def pause(milliseconds: int) -> str:
    """Do nothing for a while."""
    return f'<pause milliseconds="{milliseconds}"/>'


def send(text: str, *, retransmit: bool = False) -> str:
    """Send a message as it is written, with SIPp's keywords."""
    how = ' retrans="500"' if retransmit else ""
    return f"<send{how}><![CDATA[\n{text}\n]]></send>"


def invite(*headers: str, sdp: bool = True) -> str:
    """Send an INVITE for a new call to the user that SIPp was given."""
    start = ["INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0"]
    return send(_request("INVITE", start, "", [*headers, *_body(sdp)]), retransmit=True)


def request(method: str, *headers: str, sdp: bool = False) -> str:
    """Send a request within the dialog of our INVITE, along its route set; ACK is one too, for a 2xx."""
    start = [f"{method} [next_url] SIP/2.0", "[routes]"]
    text = _request(method, start, "[peer_tag_param]", [*headers, *_body(sdp)])
    return send(text, retransmit=method != "ACK")


def reply(status: int, reason: str = "Whatever", *headers: str, sdp: bool = False, retransmit: bool = False) -> str:
    """Reply to the request that was received last."""
    tag = "" if status == 100 else ";tag=[pid]SIPp[call_number]"
    copied = ["[last_Via:]", "[last_From:]", f"[last_To:]{tag}", "[last_Call-ID:]", "[last_CSeq:]"]
    lines = [f"SIP/2.0 {status} {reason}", *copied, "[last_Record-Route:]", _CONTACT, *headers, *_body(sdp)]
    return send("\n".join(lines), retransmit=retransmit)


_CONTACT = "Contact: <sip:[service]@[local_ip]:[local_port];transport=[transport]>"


def _request(method: str, start: list[str], peer_tag: str, rest: list[str]) -> str:
    lines = [
        *start,
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]",
        "From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPp[call_number]",
        f"To: <sip:[service]@[remote_ip]:[remote_port]>{peer_tag}",
        "Call-ID: [call_id]",
        f"CSeq: [cseq] {method}",
        _CONTACT,
        "Max-Forwards: 70",
        *rest,
    ]
    return "\n".join(lines)


def _body(sdp: bool) -> list[str]:
    return ["Content-Type: application/sdp", "Content-Length: [len]", "", _SDP] if sdp else ["Content-Length: 0", ""]


CALLER = scenario(
    invite(),
    receive(100, optional=True),
    receive(180, optional=True),
    receive(183, optional=True),
    receive(200),
    request("ACK"),
    pause(200),
    request("BYE"),
    receive(200),
)
"""Calls, talks for 200 ms, hangs up."""

ANSWERER = scenario(receive("INVITE"), reply(180), reply(200, sdp=True), receive("ACK"), receive("BYE"), reply(200))
"""Rings, answers, waits for the BYE."""
