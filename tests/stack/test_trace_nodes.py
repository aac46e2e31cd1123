"""`handoff trace` of a call that another node went on with: both nodes' messages, in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from cli.main import handoff
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.test_takeover import OVERDUE
from tests.stack.ua import Ua

if TYPE_CHECKING:
    import pytest


def test_what_the_dead_node_handled_and_what_the_other_one_did_is_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        Ua("agent") as agent,
        System(agent.uri, sidecar=True) as system,
        System(agent.uri, beside=system, sidecar=True, node={"id": "node2"}) as second,
        Talk(system, agent, ring_timeout=1) as talk,
    ):
        monkeypatch.setenv("HANDOFF_RUN_DIR", str(second.folder))
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        call_id = talk.record.id
        system.kamailio.kill()
        agent.reply(agent.expect("NOTIFY", timeout=OVERDUE), 200)
        system.wait_until(lambda: "node1" not in system.store.nodes(), timeout=OVERDUE + 10)
        result = CliRunner().invoke(handoff, ["trace", call_id, "--json"])
        assert (result.exit_code, result.stderr) == (0, "")
        steps = [(m["node"], m["party"], m["label"]) for m in json.loads(result.stdout)["messages"]]
        assert steps[0] == ("node1", "caller", "INVITE")
        assert ("node1", "leg 1", "180 Ringing (INVITE)") in steps
        final = steps.index(("node2", "agent", "NOTIFY"))
        assert ("node2", "agent", "200 OK (NOTIFY)") in steps[final:]
        assert "  by node2; 408 Request Timeout\n" in CliRunner().invoke(handoff, ["trace", call_id]).stdout
        system.kamailio.start()
        talk.hang_up()
        talk.nothing_left()
