"""Real transfers that fail, and what `handoff log show` says of them: what the tests of the diagnosis share.

Each of these tests names in parameters `fault` and `outcome` what it shows, so that a list of all can be made of them.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from click.testing import CliRunner

from cli.main import handoff
from tests.stack.name_server import NameServer
from tests.stack.registering import DOMAIN
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.tls_peer import Authority
from tests.stack.ua import PATIENCE, Ua

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from routing.faults import Fault
    from routing.outcomes import Outcome
    from tests.stack.message import Message

ALLOWED = {"Allow": "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY"}
TRUNK = {"name": "carrier", "addresses": ["127.0.0.0/8"]}
LISTED = ("fault", "outcome")


@dataclass
class Stage:
    """The stack, whose CA is `ours`."""

    agent: Ua
    system: System
    ours: Authority
    others: Authority


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Run a stack with a name server, a CA, users, and settings with which transfers fail soon."""
    ours, others = Authority(folder / "ours"), Authority(folder / "others")
    with ExitStack() as stack:
        server = stack.enter_context(NameServer(folder, "host-record=phone.test,127.0.0.1"))
        agent = stack.enter_context(Ua("agent"))
        agent.allow("OPTIONS")
        system = System(
            agent.uri,
            name_server=server.address,
            tls={"ca_file": str(ours.ca_file)},
            trunks=[TRUNK],
            users={"domains": [DOMAIN]},
            hunting={"failures": 1, "rest": 600, "probe_every": 300},
            transfer={"refer_timeout": 1.0},
        )
        yield Stage(agent, stack.enter_context(system), ours, others)


@contextmanager
def talking(stage: Stage) -> Iterator[Talk]:
    """Give a call from a side that knows REFER."""
    with Talk(stage.system, stage.agent, invited=ALLOWED) as talk:
        talk.target.allow("OPTIONS")  # one that fails is asked whether it is back
        yield talk


def typed(system: System, *words: str) -> str:
    """Type a command, and give what it writes."""
    env = {"HANDOFF_SETTINGS": str(system.folder / "settings.json"), "COLUMNS": "300"}
    result = CliRunner().invoke(handoff, list(words), env=env)
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(talk: Talk, fault: Fault, outcome: Outcome) -> str:
    """Type `handoff log show` for the last transfer, and check that it names this; gives the page."""
    show = ("log", "show", talk.last_transfer.id)
    (entry,) = json.loads(typed(talk.system, *show, "--json"))
    assert entry["diagnosis"], entry
    assert (entry["diagnosis"]["rule"], entry["outcome"]) == (fault, outcome), entry["diagnosis"]
    page = typed(talk.system, *show)
    assert f" {outcome} (" in page
    for words in ("cause", "mend"):
        assert entry["diagnosis"][words] in page
    return page


def told(talk: Talk) -> str:
    """Wait until the agent is told the end; gives what it is told."""
    while True:
        notify = talk.agent.expect("NOTIFY", timeout=2 * PATIENCE)
        talk.agent.reply(notify, 200)
        if notify["Subscription-State"].startswith("terminated"):
            return notify.body


def ended(talk: Talk, fault: Fault, outcome: Outcome) -> str:
    """Wait for the end, let all hang up, and give the page that names this."""
    told(talk)
    page = shown(talk, fault, outcome)
    talk.hang_up()
    talk.nothing_left()
    return page


def asked(talk: Talk, *endpoints: str | dict[str, Any], **settings: object) -> None:
    """Let the agent ask for a target with these endpoints."""
    talk.system.add_target(TARGET, *(endpoints or (talk.target.uri,)), **settings)
    talk.agent.expect(202, to=talk.refer())


def invited(talk: Talk, *endpoints: str | dict[str, Any], **settings: object) -> Message:
    """Do the same; gives the INVITE of the phone of the target."""
    asked(talk, *endpoints, **settings)
    return talk.target.expect("INVITE")


def refuse(talk: Talk, invite: Message, status: int, **headers: str) -> None:
    """Let the phone of the target refuse."""
    talk.target.reply(invite, status, "Not Now", headers=headers)
    talk.target.expect("ACK")


def cancelled(talk: Talk, invite: Message) -> None:
    """Take the CANCEL of an INVITE at the phone of the target."""
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")


def connected(talk: Talk, invite: Message, *, sdp: str = "") -> None:
    """Let the target answer, and the agent leave."""
    talk.target.reply(invite, 200, sdp=sdp or talk.target_voice.sdp())
    talk.target.expect("ACK")
    assert told(talk).startswith("SIP/2.0 200 ")
    talk.agent_leaves()
