"""Fixtures for tests on the real daemons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and the stack that sends calls to it; shared by the tests of one file."""
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        with System(agent.uri) as system:
            yield agent, system


@pytest.fixture
def system(agent_and_system: tuple[Ua, System]) -> System:
    """Give the running stack."""
    return agent_and_system[1]


@pytest.fixture
def agent(agent_and_system: tuple[Ua, System]) -> Ua:
    """Give the agent of the one pool."""
    return agent_and_system[0]


@pytest.fixture
def talk(system: System, agent: Ua) -> Iterator[Talk]:
    """Give a call between a caller and the agent, who hear one another."""
    with Talk(system, agent) as talk:
        yield talk
