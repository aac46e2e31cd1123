"""The parts of one worker process, made once and shared by everything that handles messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kemi.credentials import CredentialFinder
    from kemi.drain import Drain
    from kemi.engine import Engine
    from kemi.hunting import Hunting
    from kemi.media import CallMedia
    from kemi.metrics import Metrics
    from kemi.outgoing import Outgoing
    from kemi.performer import Performer
    from kemi.transfers import Transfers
    from routing.settings import Settings
    from routing.store import Store
    from rtpengine import MediaPool


@dataclass(frozen=True, slots=True)
class Context:
    """What a worker works with."""

    settings: Settings
    store: Store
    pool: MediaPool
    media: CallMedia
    outgoing: Outgoing
    performer: Performer
    engine: Engine
    transfers: Transfers
    hunting: Hunting
    credentials: CredentialFinder
    metrics: Metrics
    drain: Drain
