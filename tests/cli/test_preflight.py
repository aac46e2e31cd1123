"""What would keep the stack from running is found before anything is started, each with its mend."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import preflight
from cli.ports import free_port
from routing.settings import make_settings

if TYPE_CHECKING:
    import pytest

    from routing.settings import Settings

RUN = Path("/run/handoff")


def settings(**changes: Any) -> Settings:
    """Make settings that are fine on any machine, with these changes."""
    data = {
        "sip": {"listen": [f"udp:127.0.0.1:{free_port()}"]},
        "metrics": {"listen": f"127.0.0.1:{free_port('tcp')}"},
        "pools": [{"name": "agents", "numbers": ["*"], "agents": [{"uri": "sip:agent@127.0.0.1"}]}],
    }
    return make_settings({**data, **changes})


def found(checked: Settings, run_dir: Path = RUN) -> list[str]:
    return [str(problem) for problem in preflight.find_problems(checked, run_dir)]


def test_a_machine_where_all_is_there_has_no_problems() -> None:
    assert found(settings()) == []


def test_a_secret_of_webhooks_that_is_missing_is_named() -> None:
    mend = "set it for this process and start it again"
    assert found(settings(webhooks={"secret": "env:NO_SUCH_SECRET"})) == [
        f"webhooks.secret: the environment variable NO_SUCH_SECRET is not set; {mend}"
    ]


NEEDED = ("setpriv", "kamailio", "redis-server", "rtpengine", "openssl")


def test_each_missing_program_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_program", lambda name: None)
    mend = "this program is not installed; run `make install`, or deploy/install.sh"
    assert found(settings()) == [f"{name}: {mend}" for name in NEEDED]


def test_a_missing_module_of_kamailio_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "MODULES", ("no_such_module",))
    (problem,) = found(settings())
    assert problem.startswith("kamailio: its module no_such_module is not installed; run `make install`")


def test_an_environment_with_another_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.base_prefix", "/opt/python")
    (problem,) = found(settings())
    assert "handoff runs with the Python in /opt/python, but Kamailio with the one in /usr" in problem


def test_files_that_are_missing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "CONFIG", Path("/no/kamailio.cfg"))
    assert found(settings()) == ["/no/kamailio.cfg: there is no such file; run handoff from a whole checkout"]


def test_a_run_dir_that_daemons_cannot_use_is_told() -> None:
    (long,) = found(settings(), Path("/tmp/" + 90 * "a"))
    assert "the path is too long for the sockets in it (more than 89 bytes); choose a shorter one" in long
    (quoted,) = found(settings(), Path('/tmp/a"b'))
    assert "Kamailio cannot read files at a path with quotes" in quoted


def test_every_taken_port_is_told_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip, socket.socket() as metrics:
        sip.bind(("127.0.0.1", 0))
        metrics.bind(("127.0.0.1", 0))
        metrics.listen()
        busy = settings(
            sip={"listen": [f"udp:127.0.0.1:{sip.getsockname()[1]}"]},
            metrics={"listen": f"127.0.0.1:{metrics.getsockname()[1]}"},
            rtpengine={"interface": "192.0.2.1", "dtmf_listen": "192.0.2.1:9061"},
            trace={"listen": "192.0.2.1:9060"},
        )
        problems = found(busy)
        off = {"mode": "off", "listen": "192.0.2.1:9060"}
        assert found(settings(trace=off)) == []
    assert "trace.listen: 192.0.2.1 is no address of this machine; see `ip address` for those it has" in problems
    assert [problem.partition(":")[0] for problem in problems] == [
        "sip.listen[0]",
        "metrics.listen",
        "trace.listen",
        "rtpengine.dtmf_listen",
        "rtpengine.interface",
    ]


def test_a_redis_that_is_away_is_told(tmp_path: Path) -> None:
    (problem,) = found(settings(redis={"url": f"unix://{tmp_path}/no.sock"}))
    assert problem.startswith(f"redis.url: Redis at {tmp_path}/no.sock is not available (")
    assert problem.endswith("check that it runs, or leave redis.url out: handoff then starts its own")


def test_a_redis_url_that_is_none_is_told_without_the_password() -> None:
    (problem,) = found(settings(redis={"url": "redis://:secret@127.0.0.1:6379/?nonsense=1"}))
    assert problem.startswith("redis.url: it cannot be used (")
    assert "secret" not in problem


def test_rtpengine_nodes_of_which_none_answers_are_told() -> None:
    port = free_port()
    (problem,) = found(settings(rtpengine={"nodes": {"m1": f"127.0.0.1:{port}"}}))
    assert problem.startswith(f"rtpengine.nodes.m1: rtpengine does not answer at 127.0.0.1:{port}; check that it runs")
