"""A call at an rtpengine, real or in memory, as the tests of the contract make it."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtpengine import (
    Answer,
    BlockDtmf,
    BlockMedia,
    Codecs,
    Delete,
    Offer,
    PlayMedia,
    Query,
    StopMedia,
    UnblockDtmf,
    UnblockMedia,
)
from tests.rtpengine.sdp import sdp

if TYPE_CHECKING:
    from pathlib import Path

    from rtpengine import MediaPool

CALLER, AGENT, TARGET, SINK = 20000, 20002, 20004, 9
ALL = ("PCMU", "PCMA", "G722", "opus")


@dataclass
class Call:
    """A call at a node, with the requests that handoff makes for it."""

    pool: MediaPool
    id: str

    def offer(self, sender: str, body: str, to: str | None = None, codecs: Codecs | None = None) -> str:
        branch = f"v-{sender}" if sender.startswith("shadow") else None
        command = Offer(self.id, sender, body, to, branch, codecs or Codecs())
        return self.pool.request(self.pool.nodes[0], command).sdp

    def answer(self, offerer: str, answerer: str, body: str) -> str:
        branch = f"v-{offerer}" if offerer.startswith("shadow") else None
        return self.pool.request(self.pool.nodes[0], Answer(self.id, offerer, answerer, body, branch)).sdp

    def delete(self, tag: str | None = None) -> str:
        return self.pool.request(self.pool.nodes[0], Delete(self.id, tag)).warning

    def tags(self) -> set[str]:
        return set(self.pool.request(self.pool.nodes[0], Query(self.id)).tags)

    def ask(self, command: BlockMedia | UnblockMedia | BlockDtmf | UnblockDtmf | StopMedia) -> str:
        return self.pool.request(self.pool.nodes[0], command).warning

    def play(self, tag: str, file: str, times: int | None = None) -> float:
        return self.pool.request(self.pool.nodes[0], PlayMedia(self.id, tag, file, times)).duration

    def talk(self, *codecs: str) -> tuple[str, str]:
        """Connect caller and agent; give the SDPs that the agent and the caller got."""
        to_agent = self.offer("caller", sdp(CALLER, *(codecs or ("PCMU", "PCMA"))))
        return to_agent, self.answer("caller", "agent", sdp(AGENT, *(codecs or ("PCMU",))))

    def ring(self, codecs: Codecs = Codecs.adding(ALL), have: tuple[str, ...] = ("PCMU",)) -> str:  # noqa: B008
        """Offer to a target from a shadow of the caller; give the SDP that the target got."""
        return self.offer("shadow1", sdp(SINK, *have), codecs=codecs)

    def bridge(self, *answer: str, codecs: Codecs = Codecs.adding(ALL), have: tuple[str, ...] = ("PCMU",)) -> str:  # noqa: B008
        """Connect caller and target; give the SDP that the caller would get, were it told."""
        self.answer("shadow1", "leg1", sdp(TARGET, *answer))
        self.offer("caller", sdp(CALLER, *have), "leg1", codecs)
        return self.answer("caller", "leg1", sdp(TARGET, *answer))


def sound(path: Path, *, seconds: int = 2, width: int = 2) -> str:
    """Write a silent WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(bytes(8000 * width * seconds))
    return str(path)
