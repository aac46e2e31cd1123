"""Doing what the machine wants done to the media of a transfer, and telling what came of it as an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from routing import actions as do
from routing.events import Event, SoundMissing, SoundStarted
from routing.speech import failure_of, file_of
from routing.transfer_record import Standard
from rtpengine import RtpengineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kemi.media import CallMedia
    from routing.records import Call
    from routing.settings_model import Speech


class MediaActions:
    """Does media actions in order until one of them makes an event; what came after it no longer matters."""

    def __init__(self, media: CallMedia, speech: Speech) -> None:
        """Take who knows rtpengine, and where the sounds are."""
        self._media = media
        self._speech = speech

    def perform(self, call: Call, actions: Iterable[do.Action]) -> Event | None:
        """Do those of the actions that are for the media; gives the event that follows, if any."""
        for action in actions:
            if isinstance(action, do.MediaAction):
                event = self._perform(call, action)
                if event is not None:
                    return event
        return None

    def _perform(self, call: Call, action: do.MediaAction) -> Event | None:
        match action:
            case do.BridgeMedia():
                return self._media.bridge(call, action.leg)
            case do.OpenLeg():
                return self._media.open_leg(call, action.leg)
            case do.Play():
                return self._play(call, action)
            case _:
                self._attempt(call, action)
                return None

    def _attempt(self, call: Call, action: do.MediaAction) -> None:
        """Do what the call goes on without if it cannot be done."""
        try:
            match action:
                case do.HoldCaller(music=music):
                    self._hold(call, music=music)
                case do.ResumeAgent():
                    self._media.resume(call)
                case do.Silence(party=party):
                    self._media.silence(call, party)
        except RtpengineError as error:
            KSR.warn(f"call={call.id} {type(action).__name__}: {error.text}\n")

    def _hold(self, call: Call, *, music: bool) -> None:
        path = file_of(self._speech, Standard.MUSIC)
        if music and not path.exists():
            KSR.warn(f"call={call.id} the caller hears no music: there is no {path}\n")
        self._media.hold(call, str(path) if music and path.exists() else None)

    def _play(self, call: Call, action: do.Play) -> Event:
        path = file_of(self._speech, action.sound)
        if not path.exists():
            return SoundMissing(action.party, action.sound, hopeless=failure_of(path).exists())
        try:
            return SoundStarted(action.party, self._media.play(call, action.party, str(path)))
        except RtpengineError as error:
            KSR.warn(f"call={call.id} the {action.party} cannot hear {path.name}: {error.text}\n")
            return SoundMissing(action.party, action.sound)
