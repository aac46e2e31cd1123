"""`handoff doctor`: whether SIP messages reach the sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.diagnosis import trace
from cli.diagnosis.trace import check_trace
from cli.ports import free_port
from tests.cli.findings import only, settings
from tests.cli.test_trace import FakeSidecar

if TYPE_CHECKING:
    import pytest

    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

NOWHERE = "127.0.0.1:9060"


def check(redis_url: str | None, **traced: Any) -> tuple[str, str] | None:
    """Give status and mend of the one finding, if there is one."""
    listen = [f"udp:127.0.0.1:{free_port()}"]
    found = check_trace(settings(redis={"url": redis_url}, trace=traced, sip={"listen": listen}))
    return (only(found, "trace").status.value, only(found, "trace").mend) if found else None


def test_nothing_is_said_where_it_is_off_or_nothing_runs(operator: Operator) -> None:
    assert check(operator.url, mode="off", listen=NOWHERE) is None
    assert check(operator.url) is None
    assert check("unix:///nowhere", listen=NOWHERE) is None


def test_kamailio_without_udp_cannot_send_copies() -> None:
    found = check_trace(settings(sip={"listen": ["tcp:127.0.0.1:5060"]}))
    assert "sip.listen has no udp" in only(found, "trace").what


def test_a_node_without_a_place_for_copies_is_warned_of(operator: Operator) -> None:
    with operator.store() as store:
        store.beat("node1", {})
    assert check(operator.url) == ("warning", "set trace.listen, or use `handoff up`, which picks a port")


def test_a_sidecar_that_is_away_or_has_other_settings_is_failed(operator: Operator) -> None:
    assert (check(operator.url, listen=NOWHERE) or ("", ""))[0] == "failed"
    with FakeSidecar(operator, "node1", {"off": []}):
        told = ("failed", "restart the sidecar: it has other settings than these")
        assert check(operator.url, listen=NOWHERE) == told


def test_copies_that_do_not_arrive_are_failed_unless_it_is_kamailio_that_is_away(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, redis: RedisServer
) -> None:
    with FakeSidecar(operator, "node1", {}):
        assert (check(redis.url, listen=NOWHERE) or ("", ""))[0] == "warning"
        monkeypatch.setattr(trace, "sip_answers", lambda _: True)
        monkeypatch.setattr(trace, "ARRIVES_WITHIN", 0.2)
        status, mend = check(redis.url, listen=NOWHERE) or ("", "")
        assert (status, "have the same trace.listen" in mend) == ("failed", True)
