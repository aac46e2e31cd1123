"""Agent pools as Kamailio's dispatcher knows them: numbered sets of destinations with weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routing.settings import Pool, Settings


def pool_set(settings: Settings, pool: Pool) -> int:
    """Give the number of the dispatcher set that is this pool."""
    return settings.pools.index(pool) + 1


def dispatcher_list(settings: Settings) -> str:
    """Write the file that the dispatcher module reads: set, destination, flags, priority, attributes."""
    return "".join(
        f"{pool_set(settings, pool)} {agent.uri} 0 0 rweight={agent.weight}\n"
        for pool in settings.pools
        for agent in pool.agents
    )
