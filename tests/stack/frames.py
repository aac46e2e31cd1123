"""An RTP endpoint whose packets can be told apart one by one, which presses keys, and a call of three of them."""

from __future__ import annotations

import re
import secrets
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from kemi.media import CallMedia
from routing.dialog import Dialog
from routing.outcomes import Mode
from routing.records import SCHEMA, Call, Media
from routing.transfer_record import Destination, Leg, Transfer
from rtpengine import Pool
from tests.stack.rtp import RtpPeer

if TYPE_CHECKING:
    from routing.records import Party
    from tests.stack.test_rtpengine import Daemon

CODECS = {"PCMU": (0, "PCMU/8000"), "G722": (9, "G722/8000"), "opus": (107, "opus/48000/2")}
EVENTS = "telephone-event/8000"
NODE = "media1"

_INTERVAL = 0.02
_KEY_PACKETS = 8
_END_PACKETS = 3  # the last packet of an event is sent three times (RFC 4733 section 2.5.1.4)
_SILENCE = {"G722": b"\xfa" * 160, "opus": bytes.fromhex("f8fffe")}


class FramePeer(RtpPeer):
    """One end of an audio stream; each of its PCMU packets begins with its SSRC and a number that grows by one."""

    def __init__(self, codec: str = "PCMU", *, events: bool = False) -> None:
        super().__init__(codec)
        self._type, self._map = CODECS[codec]
        self._events = 101 if events else None
        self._key: tuple[int, int] | None = None
        self._step = 960 if codec == "opus" else 160

    def sdp(self, *codecs: str, direction: str = "sendrecv", version: int = 1) -> str:
        """Write its SDP."""
        assert not codecs, "it has one codec"
        maps = {self._type: self._map} | ({self._events: EVENTS} if self._events else {})
        host, port = self.address
        lines = ["v=0", f"o=- {self.ssrc} {version} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
        lines.append(f"m=audio {port} RTP/AVP {' '.join(map(str, maps))}")
        lines += [f"a=rtpmap:{number} {codec}" for number, codec in maps.items()]
        return "\r\n".join([*lines, f"a={direction}", "a=ptime:20", ""])

    def answer(self, offer: str) -> str:
        """Write the answer to an offer, with its codec and, if it is offered, DTMF events, by the offer's numbers."""
        numbers = {codec: int(number) for number, codec in re.findall(r"^a=rtpmap:(\d+) (\S+)", offer, re.MULTILINE)}
        self._type, self._events = numbers[self._map], numbers.get(EVENTS)
        return self.sdp()

    def press(self, event: int) -> None:
        """Press a key, by its number, for 160 ms (RFC 4733)."""
        self._key = (event, _KEY_PACKETS)

    def _send(self) -> None:
        due = time.monotonic()
        number, begun = secrets.randbits(15), 0
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            kind, stamp, payload = self._type, number * self._step, self._voice(number)
            if self._key and self._events:
                event, left = self._key
                begun = stamp if left == _KEY_PACKETS else begun
                duration = (_KEY_PACKETS - max(left, _END_PACKETS) + 1) * 160
                payload = struct.pack("!BBH", event, 0x8A if left <= _END_PACKETS else 0x0A, duration)
                kind, stamp = self._events | (0x80 if left == _KEY_PACKETS else 0), begun
                self._key = (event, left - 1) if left > 1 else None
            if (remote := self.remote) is not None:
                header = struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, stamp & 0xFFFFFFFF, self.ssrc)
                self._socket.sendto(header + payload, remote)
            number += 1
            due += _INTERVAL

    def _voice(self, number: int) -> bytes:
        return _SILENCE.get(self.codec) or f"{self.ssrc:08x}{number:08x}".encode().ljust(160, b"\xff")


def numbers(payloads: list[bytes], ssrc: int) -> list[int]:
    """Give the numbers of those PCMU packets that came from a peer, whatever their header says now.

    They are written in letters, since rtpengine writes the octet 7F, the other zero of PCMU, as FF where it transcodes.
    """
    mark = f"{ssrc:08x}".encode()
    return [int(payload[8:16], 16) for payload in payloads if payload.startswith(mark)]


class Stage:
    """Caller and agent who talk through a real rtpengine, and a person to be called; a context manager."""

    def __init__(self, daemon: Daemon, plan: Transfer, *, codec: str = "PCMU", events: bool = False) -> None:
        self._stack = ExitStack()
        self._pool = Pool({NODE: daemon.address}, deadline=2.0)
        self.media = CallMedia(self._pool, silence=0)
        self.plan = plan
        self.caller, self.agent = FramePeer(events=events), FramePeer(events=events)
        self.person = FramePeer(codec)

    def __enter__(self) -> Self:
        for peer in (self.caller, self.agent, self.person):
            self._stack.enter_context(peer)
        call_id = secrets.token_hex(8)
        to_agent = self.media.offer(NODE, call_id, self.caller.sdp())
        view = self.media.answer(NODE, call_id, self.agent.sdp())
        self.agent.talk_to(to_agent)
        self.caller.talk_to(view)
        media = Media(caller_sdp=self.caller.sdp(), caller_view=view, agent_sdp=self.agent.sdp())
        self.call = a_call(call_id, media, self.plan)
        self.caller.wait_heard(self.agent.ssrc)
        self.agent.wait_heard(self.caller.ssrc)
        return self

    def __exit__(self, *_: object) -> None:
        self.media.release(NODE, self.call.id)
        self._pool.close()
        self._stack.close()

    @property
    def leg(self) -> Leg:
        """The leg to the person."""
        assert self.call.leg is not None, "there is one from the start"
        return self.call.leg

    def open(self, number: int = 1) -> None:
        """Let the person answer, and open its leg."""
        changes = {"leg": self.leg.model_copy(update={"number": number})}
        self.call = self.call.model_copy(update=changes)
        offer = self.media.offer_leg(self.call, self.leg, self.plan.codecs)
        media = self.call.media.model_copy(update={"target_sdp": self.person.answer(offer)})
        self.call = self.call.model_copy(update={"media": media})
        self.person.talk_to(offer)
        assert self.media.open_leg(self.call, self.leg) is None

    def renegotiate(self, offerer: Party, one: FramePeer, other: FramePeer) -> None:
        """Let caller or agent offer the same again to the other one."""
        self.media.renegotiate(self.call, offerer, one.sdp(version=2))
        self.media.conclude(self.call, offerer, other.sdp(version=2))


def planned(**changes: object) -> Transfer:
    """Make a transfer to a person with any codec."""
    plan = Transfer(
        id="transfer",
        target="support",
        mode=Mode.BLIND,
        source="command",
        endpoints=(Destination(uri="sip:person@127.0.0.1", ring_timeout=20.0),),
        sender="<sip:caller@127.0.0.1>",
        codecs=("PCMU", "G722", "opus"),
        requested_at=1.0,
    )
    return plan.model_copy(update=changes)


def a_call(call_id: str, media: Media, plan: Transfer) -> Call:
    """Make the record of a call under transfer, of which only the media matter."""
    party = "<sip:party@127.0.0.1>"
    dialog = Dialog(
        call_id="c", local=party, local_tag="l", remote=party, remote_tag="r", remote_target="sip:party@127.0.0.1"
    )
    return Call(
        schema_version=SCHEMA,
        id=call_id,
        node="node1",
        media_node=NODE,
        pool="agents",
        may_refer=True,
        created_at=1.0,
        caller=dialog,
        agent=dialog,
        media=media,
        transfer=plan,
        leg=Leg(
            number=1, uri="sip:person@127.0.0.1", call_id="l", tag="t", sender=party, started_at=1.0, ring_until=21.0
        ),
    )
