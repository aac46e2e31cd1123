"""Which agents of the pools answer OPTIONS: Kamailio tells of each change, and the node's signs of life tell of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

if TYPE_CHECKING:
    from routing.settings import Settings

SILENT = "silent"
"""Shared memory of this node: the URIs of agents that do not answer."""


def note_agent(uri: str, *, up: bool) -> None:
    """Note that an agent has begun to answer, or has stopped."""
    if up:
        KSR.htable.sht_rm(SILENT, uri)
    else:
        KSR.htable.sht_sets(SILENT, uri, "1")


def agents_up(settings: Settings) -> dict[str, dict[str, bool]]:
    """Tell of each agent of each pool whether it answers; until they have been asked, they are thought to."""
    return {
        pool.name: {agent.uri: KSR.htable.sht_get(SILENT, agent.uri) is None for agent in pool.agents}
        for pool in settings.pools
    }
