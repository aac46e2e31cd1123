"""The callbacks: that Kamailio finds them, and that nothing they raise reaches it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kemi.app import Handoff
from kemi.names import Callback
from routing.settings import make_settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_ksr import FakeKsr

REQUEST = """\
{method} sip:+4930@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1
From: <sip:caller@192.0.2.1>;tag=c
To: <sip:+4930@127.0.0.1>{tag}
Call-ID: trunk-call
CSeq: 1 {method}
Content-Length: 0

""".replace("\n", "\r\n")


@pytest.fixture(scope="module")
def handoff(tmp_path_factory: pytest.TempPathFactory) -> Handoff:
    """Give the object that Kamailio calls; one for all, since metrics can be registered only once."""
    folder: Path = tmp_path_factory.mktemp("settings")
    pools = [{"name": "agents", "numbers": ["*"], "agents": [{"uri": "sip:127.0.0.1:5070"}]}]
    settings = make_settings({"pools": pools, "redis": {"url": f"unix://{folder}/none.sock"}})
    path = folder / "settings.json"
    path.write_text(json.dumps(settings.model_dump(mode="json")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDOFF_SETTINGS", str(path))
        return Handoff()


@pytest.mark.parametrize("name", list(Callback))
def test_every_name_given_to_kamailio_is_a_method(name: str) -> None:
    """A misspelt one would only be seen in a debug log."""
    assert callable(getattr(Handoff, name))


def request(handoff: Handoff, ksr: FakeKsr, method: str, tag: str = "") -> list[tuple[object, ...]]:
    """Let a request in; gives the answers."""
    ksr.receive(REQUEST.format(method=method, tag=tag))
    ksr.allow("maxfwd.process_maxfwd", "force_rport", "tm.t_send_reply", "hdr.append_to_reply")
    handoff.ksr_request_route(None)
    return ksr.called("tm.t_send_reply")


def test_options_are_answered(handoff: Handoff, ksr: FakeKsr) -> None:
    """It is how others see that we are there."""
    assert request(handoff, ksr, "OPTIONS") == [(200, "OK")]


def test_a_method_outside_of_a_call_is_refused(handoff: Handoff, ksr: FakeKsr) -> None:
    """With Allow, as RFC 3261 section 21.4.6 wants it."""
    assert request(handoff, ksr, "PUBLISH") == [(405, "Method Not Allowed")]
    assert "INVITE" in str(ksr.called("hdr.append_to_reply"))


def test_a_stranger_may_not_call(handoff: Handoff, ksr: FakeKsr) -> None:
    """Only trunks may; without any in the config that is this machine."""
    ksr.on("tm.t_newtran")
    ksr.on("kx.get_srcip", returns="192.0.2.1")
    ksr.on("dispatcher.ds_is_from_list_mode", returns=-1)
    assert request(handoff, ksr, "INVITE") == [(403, "Not a trunk of this system")]


def test_a_loop_is_refused(handoff: Handoff, ksr: FakeKsr) -> None:
    """Max-Forwards has come to its end."""
    ksr.receive(REQUEST.format(method="INVITE", tag=""))
    ksr.on("maxfwd.process_maxfwd", returns=-1)
    ksr.allow("tm.t_send_reply")
    handoff.ksr_request_route(None)
    assert ksr.called("tm.t_send_reply") == [(483, "Too Many Hops")]


def test_an_ack_is_never_answered(handoff: Handoff, ksr: FakeKsr) -> None:
    """Not even one of a dialog that nobody knows."""
    ksr.on("rr.loose_route", returns=-1)
    ksr.on("tm.t_check_trans")
    assert request(handoff, ksr, "ACK", ";tag=x") == []


def test_a_fault_of_ours_is_a_500_and_a_trace_in_the_log(handoff: Handoff, ksr: FakeKsr) -> None:
    """Never a request without an answer."""

    def fail() -> int:
        raise RuntimeError("boom")

    ksr.on("tm.t_newtran", does=fail)
    assert request(handoff, ksr, "BYE", ";tag=x") == [(500, "Server Internal Error")]
    assert any("boom" in line for level, line in ksr.log if level == "err")
