"""Agent pools as Kamailio's dispatcher knows them: numbered sets of destinations with weights, and who answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


class AgentSeen(NamedTuple):
    """Whether an agent of a pool answers the OPTIONS of a node."""

    node: str
    pool: str
    agent: str
    up: bool


def agents_seen(beats: Mapping[str, Mapping[str, Any]]) -> Iterator[AgentSeen]:
    """Read from the signs of life of all nodes which agents answer; one that says nothing of it is left out."""
    for node, beat in sorted(beats.items()):
        pools = beat.get("agents")
        for pool, agents in pools.items() if isinstance(pools, dict) else ():
            for agent, up in agents.items() if isinstance(agents, dict) else ():
                yield AgentSeen(node, pool, agent, bool(up))
