"""One rtpengine daemon in memory: what it knows of its calls, and how it answers each command."""

from __future__ import annotations

import wave
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from rtpengine import commands, fake_sdp, party_commands
from rtpengine.codec_choice import Codecs
from rtpengine.replies import Dictionary, Refusal, Reply

if TYPE_CHECKING:
    from rtpengine.commands import Command
    from rtpengine.fake_sdp import Payload

_OK: Dictionary = {"result": "ok"}
_PONG: Dictionary = {"result": "pong"}
_NOTHING_DELETED: Dictionary = {"result": "ok", "warning": "Call-ID not found or tags didn't match"}
_SAMPLE_BYTES = 2
_PACKET_BYTES = 172
_FIRST_PORT = 30000


@dataclass(eq=False)
class FakeParty:
    """A tag of a call (empty until it has answered); `port` is rtpengine's port that the party sends to.

    `peers` are all with whom it ever exchanged offer and answer, the latest first. `playing` is the file that is being
    played to it: without an end, since no time passes here. `blocked` is what it says, `keys_blocked` its DTMF events.
    """

    tag: str
    port: int
    peers: list[FakeParty] = field(default_factory=list)
    payloads: tuple[Payload, ...] = ()
    sdp: str = ""
    codecs: Codecs = field(default_factory=Codecs)
    played: list[str] = field(default_factory=list)
    playing: str | None = None
    blocked: bool = False
    keys_blocked: bool = False
    packets: int = 0
    last_packet: int = 0

    def turn_to(self, peer: FakeParty) -> None:
        """Talk to `peer` from now on."""
        self.peers = [peer, *(other for other in self.peers if other is not peer)]


@dataclass
class FakeCall:
    """A call: its parties, those without a tag included."""

    parties: list[FakeParty] = field(default_factory=list)

    def find(self, tag: str | None) -> FakeParty | None:
        """Give the party with this tag."""
        return next((party for party in self.parties if tag and party.tag == tag), None)

    def party(self, tag: str) -> FakeParty:
        """Give the party with this tag; Refusal if there is none."""
        party = self.find(tag)
        if party is None:
            raise Refusal("From-tag given, but no such tag exists")
        return party

    def heard_by(self, listener: FakeParty) -> set[str]:
        """Name the parties that one hears, and the file that is played to it, which silences nobody."""
        voices = {party.tag for party in self.parties if party.peers[:1] == [listener] and not party.blocked}
        return voices | ({listener.playing} if listener.playing else set())

    def remove(self, gone: FakeParty) -> None:
        """Take out a party, and those who never had another peer."""
        self.parties.remove(gone)
        for party in [party for party in self.parties if gone in party.peers]:
            party.peers.remove(gone)
            party.playing = None  # the real one stops what it plays to all with whom the party ever talked
            if not party.peers:
                self.remove(party)


class FakeDaemon:
    """The calls of one node, by call id."""

    def __init__(self) -> None:
        self.calls: dict[str, FakeCall] = {}
        self._ports = count(_FIRST_PORT, 2)

    def answer(self, command: Command[Reply]) -> Dictionary:
        """Carry out a command and give the reply dictionary."""
        try:
            return self._carry_out(command)
        except Refusal as error:
            return {"result": "error", "error-reason": str(error)}

    def _carry_out(self, command: Command[Reply]) -> Dictionary:
        answer = _OK
        match command:
            case commands.Offer():
                answer = self._offer(command)
            case commands.Answer():
                answer = self._accept(command)
            case commands.Delete():
                answer = self._delete(command)
            case commands.Query():
                answer = _describe(self._call(command.call_id))
            case party_commands.PlayMedia():
                answer = _play(self._call(command.call_id).party(command.from_tag), command.file)
            case party_commands.StopMedia():
                _stop(self._call(command.call_id).party(command.from_tag))
            case party_commands.BlockMedia() | party_commands.UnblockMedia():
                party = self._call(command.call_id).party(command.from_tag)
                party.blocked = isinstance(command, party_commands.BlockMedia)
            case party_commands.BlockDtmf() | party_commands.UnblockDtmf():
                party = self._call(command.call_id).party(command.from_tag)
                party.keys_blocked = isinstance(command, party_commands.BlockDtmf)
            case _:
                answer = _PONG
        return answer

    def _call(self, call_id: str) -> FakeCall:
        if call_id not in self.calls:
            raise Refusal("Unknown call-id")
        return self.calls[call_id]

    def _offer(self, offer: commands.Offer) -> Dictionary:
        payloads = fake_sdp.payloads(offer.sdp)
        call = self.calls.setdefault(offer.call_id, FakeCall())
        source = call.find(offer.from_tag) or self._join(call, offer.from_tag)
        target = call.find(offer.to_tag) if offer.to_tag else next(iter(source.peers), None)
        target = target or self._join(call, offer.to_tag or "")
        _connect(source, target)
        source.payloads, source.sdp, source.codecs = payloads, offer.sdp, offer.codecs
        offered = fake_sdp.offered(payloads, offer.codecs)
        return {"result": "ok", "sdp": fake_sdp.rewrite(offer.sdp, target.port, offered)}

    def _accept(self, answer: commands.Answer) -> Dictionary:
        call = self._call(answer.call_id)
        payloads = fake_sdp.payloads(answer.sdp)
        source = call.party(answer.from_tag)
        waiting = next((peer for peer in source.peers if not peer.tag), None)
        target = call.find(answer.to_tag) or waiting or self._join(call, answer.to_tag)
        target.tag = answer.to_tag
        _connect(source, target)
        target.payloads, target.sdp = payloads, answer.sdp
        source.payloads = fake_sdp.accepted(source.payloads, payloads, source.codecs)
        return {"result": "ok", "sdp": fake_sdp.rewrite(answer.sdp, source.port, source.payloads)}

    def _delete(self, delete: commands.Delete) -> Dictionary:
        call = self.calls.get(delete.call_id)
        party = call.find(delete.from_tag) if call else None
        if call is None or (delete.from_tag is not None and party is None):
            return _NOTHING_DELETED
        if party:
            call.remove(party)
        if party is None or not call.parties:
            del self.calls[delete.call_id]
        return _OK

    def _join(self, call: FakeCall, tag: str) -> FakeParty:
        party = FakeParty(tag, next(self._ports))
        call.parties.append(party)
        return party


def _connect(one: FakeParty, other: FakeParty) -> None:
    one.turn_to(other)
    other.turn_to(one)


def _describe(call: FakeCall) -> Dictionary:
    tags: Dictionary = {}
    for party in call.parties:
        stats = {"packets": party.packets, "bytes": _PACKET_BYTES * party.packets, "errors": 0}
        stream = {"local port": party.port, "flags": ["RTP"], "last packet": party.last_packet, "stats": stats}
        media: Dictionary = {"streams": [stream]}
        if party.packets:
            media["codec"] = party.payloads[0].codec
        tags[party.tag or f"<untagged {party.port}>"] = {"tag": party.tag, "medias": [media]}
    return {"result": "ok", "created": 0, "tags": tags}


def _play(party: FakeParty, file: str) -> Dictionary:
    party.playing = None  # also when the new one cannot be played
    try:
        with Path(file).open("rb") as stream, wave.open(stream) as sound:
            if sound.getsampwidth() != _SAMPLE_BYTES:
                return _OK  # the real one, too, then says ok and gives no duration
            duration = 1000 * sound.getnframes() // sound.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise Refusal("Failed to start media playback from file") from error
    party.played.append(file)
    party.playing = file
    return {"result": "ok", "duration": duration}


def _stop(party: FakeParty) -> None:
    if not party.played:  # the real one is as lenient: it refuses only where nothing was ever played
        raise Refusal("Not currently playing media")
    party.playing = None
