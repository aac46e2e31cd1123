"""What handoff relies on when rtpengine plays sounds and lets parties not be heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtpengine import BlockDtmf, BlockMedia, CommandRefused, StopMedia, UnblockDtmf, UnblockMedia
from tests.rtpengine.contract_call import TARGET, Call, sound
from tests.rtpengine.sdp import sdp

if TYPE_CHECKING:
    from pathlib import Path


class SoundContract:
    """A part of the contract, which needs its fixture `call`."""

    def test_media_can_be_blocked_and_unblocked(self, call: Call) -> None:
        call.talk()
        for command in (BlockMedia, BlockDtmf, UnblockMedia, UnblockDtmf):
            assert call.ask(command(call.id, "agent")) == ""
            assert call.ask(command(call.id, "agent")) == ""

    def test_playing_a_file_tells_its_duration_and_can_be_stopped(self, call: Call, tmp_path: Path) -> None:
        call.talk()
        assert call.ask(StopMedia(call.id, "caller")) == "Not currently playing media"
        assert call.play("caller", sound(tmp_path / "two.wav"), 3) == pytest.approx(2.0, abs=0.01)
        assert call.play("caller", sound(tmp_path / "one.wav", seconds=1)) == pytest.approx(1.0, abs=0.01)
        assert call.ask(StopMedia(call.id, "caller")) == ""
        assert call.ask(StopMedia(call.id, "caller")) == ""

    @pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722", "opus"])
    def test_a_leg_can_be_played_to_as_soon_as_it_has_answered_its_shadow(
        self, call: Call, tmp_path: Path, codec: str
    ) -> None:
        call.talk()
        call.ring()
        call.answer("shadow1", "leg1", sdp(TARGET, codec))
        assert call.play("leg1", sound(tmp_path / "two.wav")) == pytest.approx(2.0, abs=0.01)
        assert call.ask(StopMedia(call.id, "leg1")) == ""

    @pytest.mark.parametrize("kind", ["missing", "folder", "garbage", "32 bit"])
    def test_a_file_that_cannot_be_played_is_an_error(self, call: Call, tmp_path: Path, kind: str) -> None:
        """rtpengine itself says ok, without a duration, to some of these."""
        call.talk()
        path = tmp_path / "a.wav"
        if kind == "folder":
            path = tmp_path
        elif kind == "garbage":
            path.write_bytes(b"hello")
        elif kind == "32 bit":
            sound(path, width=4)
        with pytest.raises(CommandRefused, match="play"):
            call.play("caller", str(path))
