"""Asking for speech: what is not spoken yet is asked of the sidecar, since a SIP worker must not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from routing.speech import file_of, requests_for
from routing.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.settings import Settings
    from routing.store import Store
    from routing.transfer_record import Sound


class Speech:
    """Has texts spoken into the files in which they are looked for later."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Take where speech is asked for, and where it is found."""
        self._settings = settings
        self._store = store

    def prepare(self, sounds: Iterable[Sound]) -> None:
        """Ask for the sounds that are not there; where that cannot be done, the fixed ones are heard instead."""
        requests = requests_for(sound for sound in sounds if not file_of(self._settings.speech, sound).exists())
        if not requests:
            return
        try:
            self._store.ask_speech(self._settings.node.id, requests)
        except StoreError as error:
            KSR.warn(f"speech cannot be asked for: {error.text}\n")
