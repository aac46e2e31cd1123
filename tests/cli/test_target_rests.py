"""Limits of endpoints in `handoff targets`, and who is told which endpoints rest."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from cli.diagnosis.stored import check_stored
from cli.gauges import StoredGauges
from tests.cli.findings import only, settings

if TYPE_CHECKING:
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

DESK, OTHER = "sip:desk@127.0.0.1:5070", "sip:other@127.0.0.1:5071"


def rest(operator: Operator, uri: str) -> float:
    """Let an endpoint fail often enough; gives when."""
    now = time.time()
    with operator.store() as store:
        store.fail_endpoint(uri, "503 Service Unavailable", now, failures=1, rest=60.0)
    return now


def test_a_limit_is_for_all_endpoints_or_for_one_and_is_taken_back_by_clear(operator: Operator) -> None:
    added = operator.reads("targets", "add", "support", DESK, OTHER, "--max-calls", "3")
    assert added["endpoints"] == [{"uri": DESK, "max_calls": 3}, {"uri": OTHER, "max_calls": 3}]
    one = operator.reads("targets", "set", "support", "--max-calls", "1", "--for", OTHER)
    assert one["endpoints"] == [{"uri": DESK, "max_calls": 3}, {"uri": OTHER, "max_calls": 1}]
    lines = operator.types("targets", "show", "support").stdout
    assert f"{DESK} (at most 3 calls), {OTHER} (at most 1 call)" in lines
    cleared = operator.reads("targets", "set", "support", "--clear", "max-calls")
    assert cleared["endpoints"] == [{"uri": DESK}, {"uri": OTHER}]


def test_a_limit_that_is_none_is_refused(operator: Operator) -> None:
    assert "max_calls" in operator.fails(2, "targets", "add", "support", DESK, "--max-calls", "0")


def test_show_tells_which_endpoints_rest_since_when_and_why(operator: Operator) -> None:
    operator.reads("targets", "add", "support", DESK, OTHER)
    assert operator.reads("targets", "show", "support")["resting"] == []
    assert not re.search(r"^rests", operator.types("targets", "show", "support").stdout, re.MULTILINE)
    at = rest(operator, OTHER)
    shown = operator.reads("targets", "show", "support")
    assert operator.reads("targets", "list") == [shown]
    (resting,) = shown["resting"]
    assert (resting["uri"], resting["why"]) == (OTHER, "503 Service Unavailable")
    since, until = (datetime.fromisoformat(resting[name]).timestamp() for name in ("since", "until"))
    assert (since, until) == (int(at), int(at + 60.0))
    line = rf"^rests +{OTHER}, left alone for .* after 503 Service Unavailable$"
    assert re.search(line, operator.types("targets", "show", "support").stdout, re.MULTILINE)


def test_an_endpoint_that_cannot_be_called_is_shown_all_the_same(operator: Operator) -> None:
    """A tel: URI needs a trunk that takes it."""
    operator.reads("targets", "add", "support", "tel:+4930123456")
    assert operator.reads("targets", "show", "support")["resting"] == []


def test_the_doctor_warns_of_endpoints_that_rest(operator: Operator, redis: RedisServer) -> None:
    given = settings(redis={"url": redis.url})
    operator.reads("targets", "add", "support", DESK, OTHER)
    rest(operator, DESK)
    rest(operator, "sip:dialled@127.0.0.1")
    found = check_stored(given)
    desk = only(found, f"endpoint {DESK}")
    assert (desk.status, desk.mend) == ("warning", "check that it runs, its URI, and the network in between")
    assert re.fullmatch("left alone for .* after 503 Service Unavailable; used by support", desk.what)
    assert only(found, "endpoint sip:dialled@127.0.0.1").what.endswith("after 503 Service Unavailable")


def test_prometheus_is_told_which_endpoints_rest(operator: Operator) -> None:
    rest(operator, DESK)
    registry = CollectorRegistry()
    with operator.store() as store:
        registry.register(StoredGauges(store, "node1"))
        text = generate_latest(registry).decode()
    assert f'handoff_endpoint_resting{{endpoint="{DESK}"}} 1.0' in text
