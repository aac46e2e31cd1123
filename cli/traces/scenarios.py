"""A trace as SIPp scenarios, one for each party: they do again what it did, so that a failure becomes a test.

What belongs to one exchange (Via, tags, Call-ID, routes, addresses) is left to SIPp; all else is sent as it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from cli.traces.ladder import HANDOFF, heads_of
from cli.traces.parties import CALLER, Trace
from cli.traces.sip import full_name

if TYPE_CHECKING:
    from cli.traces.sip import Message

OWN = frozenset({"via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length", "content-type",
                 "route", "record-route", "authorization", "proxy-authorization"})  # fmt: skip
"""Fields that SIPp makes, or that cannot be sent again."""
NOTICED = 0.02
"""Seconds from which on a pause is kept."""
LONGEST_PAUSE = 300.0
TAG = "[pid]SIPp[call_number]"
HOST_PORT = re.compile(r"[@:]([^@:;?]+:\d+|\[[^]]+\]:\d+)(?:[;?]|$)")
ORIGIN = re.compile(r"^o=(\S+ \S+ \S+) IN IP[46] \S+", re.MULTILINE)
CONNECTION = re.compile(r"^c=IN IP[46] \S+", re.MULTILINE)
AUDIO = re.compile(r"^m=audio (?!0 )\d+", re.MULTILINE)
ELSEWHERE = re.compile(r"^a=(?:rtcp:|candidate:|ice-|end-of-candidates).*\r?\n", re.MULTILINE)
HOW = {"tcp": "-t t1", "tls": "-t l1 -tls_cert CERTIFICATE -tls_key KEY"}
"""SIPp's options for what is not UDP."""
REMEMBER = """    <action>
      <ereg regexp=".*" search_in="hdr" header="From:" assign_to="remote"/>
      <ereg regexp=".*" search_in="hdr" header="To:" assign_to="local"/>
    </action>
"""


def write_scenarios(trace: Trace) -> dict[str, str]:
    """Write the files: a scenario for each party, and README.txt with how to run them."""
    ours = _our_names(trace)
    files = {_file(party): _Script(trace, party, ours).write() for party in trace.parties}
    return {**files, "README.txt": _instructions(trace)}


def _our_names(trace: Trace) -> set[str]:
    """Give what parties may call handoff: where it listens, and where the caller sent its INVITE."""
    first = next((m.first_line.split(" ")[1] for m in trace.of(CALLER) if m.method == "INVITE" and not m.sent), "")
    host = HOST_PORT.search(first)
    return {dict(heads_of(trace))[HANDOFF], *([host[1]] if host else [])}


def _file(party: str) -> str:
    return f"{party.replace(' ', '')}.xml"


def _instructions(trace: Trace) -> str:
    others = [party for party in trace.parties if party != CALLER]
    order = [*others, *([CALLER] if CALLER in trace.parties else [])]
    lines = [
        f"SIPp scenarios of call {trace.call_id}. Each does again what one party did towards handoff.",
        "",
        "Have a pool with the agent's address and port, and the target that the transfer names with those of the legs,",
        "or put other parties in the place of some of these. Start the caller last. HANDOFF is its host:port:",
        "",
    ]
    others_than_sipp = []
    for party in order:
        host, port = trace.parties[party]
        transport = trace.of(party)[0].transport
        how = f" {HOW[transport]}" if transport in HOW else ""
        others_than_sipp += [f"{party} ({transport})"] if transport in {"ws", "wss"} else []
        lines.append(f"  sipp -sf {_file(party)} -i {host} -p {port}{how} -m 1 -aa -nostdin HANDOFF")
    if others_than_sipp:
        lines += ["", f"SIPp has no WebSocket, by which handoff reached {', '.join(others_than_sipp)}: here it is UDP."]
    return "\n".join([*lines, "", "No audio is sent. Logins that handoff gave or was given are not in them.", ""])


class _Script:
    """Writes the scenario of one party."""

    def __init__(self, trace: Trace, party: str, ours: set[str]) -> None:
        self._party = party
        self._ours = ours
        self._messages = trace.of(party)
        self._steps: list[str] = []
        self._invites: dict[int, tuple[int, bool]] = {}
        self._calls = bool(self._messages) and not self._messages[0].sent

    def write(self) -> str:
        """Give the XML."""
        before: Message | None = None
        for message in self._messages:
            if message.sent:
                self._steps.append(self._receive(message))
            else:
                waited = min(message.at - before.at, LONGEST_PAUSE) if before else 0.0
                if waited > NOTICED:
                    self._steps.append(f'  <pause milliseconds="{round(1000 * waited)}"/>')
                self._steps.append(self._reply(message) if message.status else self._request(message))
            before = message
        used = [] if self._calls else ['  <Reference variables="remote,local"/>']
        head = ['<?xml version="1.0" encoding="utf-8"?>', f"<scenario name={quoteattr(self._party)}>"]
        return "\n".join([*head, *self._steps, *used, "</scenario>", ""])

    def _receive(self, message: Message) -> str:
        if message.status:
            optional = ' optional="true"' if message.status < 200 else ""
            routes = ' rrs="true"' if message.method == "INVITE" else ""
            return f'  <recv response="{message.status}"{routes}{optional}/>'
        if message.method == "INVITE" and not message.to_tag:
            return f'  <recv request="INVITE" rrs="true">\n{REMEMBER}  </recv>'
        return f'  <recv request="{message.method}"/>'

    def _reply(self, message: Message) -> str:
        tag = "" if message.status == 100 or self._calls or message.to_tag == "" else f";tag={TAG}"
        copied = ["[last_Via:]", "[last_From:]", f"[last_To:]{tag if self._opens(message) else ''}", "[last_Call-ID:]"]
        number = f"CSeq: [last_cseq_number] {message.method}"  # 487 follows a CANCEL, which has the same number
        lines = [_hide_brackets(message.first_line), *copied, number, "[last_Record-Route:]", *self._rest(message)]
        return _send(lines, again=message.method == "INVITE" and (message.status or 0) >= 200)

    def _opens(self, message: Message) -> bool:
        """Tell whether it answers a request that has no tag in To yet."""
        requests = (other for other in self._messages if other.sent and not other.status)
        return any((other.cseq, other.method, other.to_tag) == (message.cseq, message.method, "") for other in requests)

    def _request(self, message: Message) -> str:
        method, here = message.method, len(self._steps)
        begins = method == "INVITE" and not message.to_tag
        if method == "INVITE":
            self._invites[message.cseq] = (here, begins)
        branch, first = "[branch]", begins
        if method == "CANCEL" or self._follows_refusal(message):  # they go where the INVITE went, with its branch
            invite, first = self._invites.get(message.cseq, (here, True))
            branch = f"[branch-{here - invite}]"
        uri, routes = (self._quoted(message.first_line.split(" ")[1]), []) if first else ("[next_url]", ["[routes]"])
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch={branch}",
            *routes,
            *(self._own_names(message, begins=begins) if self._calls else self._called_names()),
            "Call-ID: [call_id]",
            f"CSeq: {message.cseq} {method}",
            "Max-Forwards: 70",
            *self._rest(message),
        ]
        return _send(lines, again=method != "ACK")

    def _follows_refusal(self, message: Message) -> bool:
        """Tell whether it is the ACK for a refusal, which belongs to the transaction of the INVITE."""
        if message.method != "ACK":
            return False
        finals = [m for m in self._messages if m.sent and m.method == "INVITE" and m.cseq == message.cseq]
        return any((final.status or 0) >= 300 for final in finals)

    def _own_names(self, message: Message, *, begins: bool) -> list[str]:
        name = self._quoted(message.header("to").partition(";tag=")[0])
        peer = "" if begins or not message.to_tag else "[peer_tag_param]"
        return [f"From: {self._quoted(message.header('from').partition(';tag=')[0])};tag={TAG}", f"To: {name}{peer}"]

    @staticmethod
    def _called_names() -> list[str]:
        return [f"From:[$local];tag={TAG}", "To:[$remote]"]

    def _rest(self, message: Message) -> list[str]:
        """Write the Contact, all fields of its own, and the body."""
        fields = [f"{name}: {self._quoted(value)}" for name, value in message.fields if full_name(name) not in OWN]
        if contact := message.header("contact"):
            user = re.search(r"sips?:([^@;>]+)@", contact)
            place = f"{_hide_brackets(user[1])}@[local_ip]:[local_port]" if user else "[local_ip]:[local_port]"
            fields.insert(0, f"Contact: <sip:{place};transport=[transport]>")
        if not message.body:
            return [*fields, "Content-Length: 0"]
        body = self._quoted(message.body)
        if message.header("content-type").lower().startswith("application/sdp"):
            body = _own_sdp(_hide_brackets(message.body))
        kind = message.header("content-type")
        return [*fields, f"Content-Type: {kind}", "Content-Length: [len]", "", *body.rstrip("\r\n").split("\r\n")]

    def _quoted(self, text: str) -> str:
        """Write text so that SIPp sees no keywords in it but those for handoff's address."""
        text = _hide_brackets(text)
        for name in self._ours:
            text = text.replace(_hide_brackets(name), "[remote_ip]:[remote_port]")
        return text


def _hide_brackets(text: str) -> str:
    return text.replace("[", r"\x5b")


def _own_sdp(sdp: str) -> str:
    changes = (
        (ORIGIN, r"o=\1 IN IP[media_ip_type] [media_ip]"),
        (CONNECTION, "c=IN IP[media_ip_type] [media_ip]"),
        (AUDIO, "m=audio [media_port]"),
        (ELSEWHERE, ""),
    )
    for pattern, new in changes:
        sdp = pattern.sub(new, sdp)
    return sdp


def _send(lines: list[str], *, again: bool) -> str:
    text = "\n".join(line.replace("]]>", "]] >") for line in lines)
    start = '<send retrans="500">' if again else "<send>"
    return f"  {start}<![CDATA[\n{text}\n]]></send>"
