"""Each program is started as it must be, and its log is cut down to what an operator needs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cli.daemons import KamailioLog, exporter, kamailio, redis, rtpengine, sidecar
from routing.settings import make_settings

RUN = Path("/run/handoff")
OURS = " 1(77) INFO: <core> [core/kemi.c:109]: sr_kemi_core_info(): call=00aa event=Answered"


def settings(**changes: Any) -> Any:
    pools = [{"name": "agents", "numbers": ["*"], "agents": [{"uri": "sip:agent@127.0.0.1"}]}]
    return make_settings({"pools": pools, **changes})


def test_kamailio_gets_its_places_workers_and_log_level() -> None:
    sip = {"listen": ["udp:127.0.0.1:5070", "tcp:127.0.0.1:5070"]}
    program = kamailio(settings(sip=sip, node={"workers": 3}, log={"level": "warning"}), RUN)
    command = " ".join(program.command)
    assert " -n 3 -l udp:127.0.0.1:5070 -l tcp:127.0.0.1:5070 " in command
    assert " -A LOG_LEVEL=0" in command
    assert ' -A DISPATCHER_LIST="/run/handoff/dispatcher.list" ' in command
    assert program.environ["HANDOFF_SETTINGS"] == "/run/handoff/settings.json"


def test_for_web_pages_kamailio_listens_with_tcp_and_tls_after_all_else() -> None:
    """What it connects to, it connects from the first place of a transport."""
    sip = {"listen": ["wss:127.0.0.1:8443", "ws:127.0.0.1:8080", "tls:127.0.0.1:5061", "tcp:127.0.0.1:5060"]}
    command = kamailio(settings(sip=sip, tls={"certificate": "/c.pem", "key": "/c.key"}), RUN).command
    places = [place for option, place in pairwise(command) if option == "-l"]
    assert places == ["tls:127.0.0.1:5061", "tcp:127.0.0.1:5060", "tls:127.0.0.1:8443", "tcp:127.0.0.1:8080"]


def test_kamailio_finds_debians_python_whatever_the_path_of_the_user() -> None:
    environ = kamailio(settings(), RUN).environ
    assert environ["PATH"].startswith("/usr/sbin:/usr/bin")
    assert environ["PYTHONHOME"] == environ["PYTHONPATH"] == ""


def test_kamailio_tells_others_the_address_that_is_advertised() -> None:
    sip = {"listen": ["udp:127.0.0.1:5070"], "advertise": "203.0.113.5:5060"}
    assert "udp:127.0.0.1:5070/203.0.113.5:5060" in kamailio(settings(sip=sip), RUN).command


def test_rtpengine_gets_its_ports_and_timeouts() -> None:
    ours = {"interface": "127.0.0.1!203.0.113.5", "port_min": 30000, "port_max": 30999}
    command = rtpengine(settings(rtpengine=ours, media={"timeout": 45}), "127.0.0.1:2223").command
    expected = {"--interface=127.0.0.1!203.0.113.5", "--port-min=30000", "--port-max=30999", "--timeout=45"}
    assert expected | {"--listen-ng=127.0.0.1:2223", "--table=-1"} <= set(command)
    assert not any("dtmf" in word for word in command)


def test_what_an_operator_can_do_nothing_about_is_left_out_of_the_log_of_rtpengine() -> None:
    pick = rtpengine(settings(), "127.0.0.1:2223").pick
    assert pick("Warning: using insecure memory!") == ""
    assert pick("ERR: Ran out of ports") == "ERR: Ran out of ports"


def test_rtpengine_is_told_where_to_log_keys() -> None:
    command = rtpengine(settings(rtpengine={"dtmf_listen": "127.0.0.1:2224"}), "127.0.0.1:2223").command
    assert "--dtmf-log-dest=127.0.0.1:2224" in command


def test_redis_keeps_its_file_in_the_state_dir_and_its_socket_in_the_run_dir() -> None:
    command = " ".join(redis(RUN, Path("/var/lib/handoff")).command)
    assert "--port 0 --unixsocket /run/handoff/redis.sock " in command
    assert "--dir /var/lib/handoff --appendonly yes --appendfsync everysec" in command


def test_redis_tells_what_is_wrong_and_nothing_else() -> None:
    pick = redis(RUN, RUN).pick
    assert pick("7:M 22 Nov 2026 # Redis version=7.0.15, bits=64, just started") == ""
    assert (
        pick("7:M 22 Nov 2026 # Can't open the append-only file") == "7:M 22 Nov 2026 # Can't open the append-only file"
    )


@pytest.mark.parametrize(
    "text", ["WARNING Memory overcommit must be enabled! See", "WARNING overcommit_memory is set to 0! See"]
)
def test_redis_needs_one_short_line_for_overcommit(text: str) -> None:
    shown = redis(RUN, RUN).pick(f"7:M 22 Nov 2026 17:23:06.509 # {text} ...")
    assert shown.startswith("vm.overcommit_memory is 0; ")


@pytest.mark.parametrize("make", [lambda run: exporter(run, 5.0), sidecar], ids=["exporter", "sidecar"])
def test_exporter_and_sidecar_are_told_where_the_settings_and_the_metrics_are(make: Any) -> None:
    environ = make(RUN).environ
    assert environ["HANDOFF_SETTINGS"] == "/run/handoff/settings.json"
    assert environ["PROMETHEUS_MULTIPROC_DIR"] == "/run/handoff/metrics"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (OURS, "1(77) INFO: call=00aa event=Answered"),
        (" 0(7) INFO: <core> [core/udp_server.c:154]: probe_max_receive_buffer(): SO_RCVBUF is 212992", ""),
        (" 0(7) NOTICE: <core> [main.c:733]: handle_sigs(): Thank you for flying kamailio!!!", ""),
        ("12(7) ERROR: tm [t_lookup.c:1]: t(): bad", "12(7) ERROR: tm [t_lookup.c:1]: t(): bad"),
        (" 9(9) CRITICAL: <core> [core/pass_fd.c:277]: receive_fd(): EOF on 21", ""),
        (" 0(7) WARNING: tls [tls_mod.c:407]: mod_init(): detected initialized thread-locals created", ""),
        (" 0(7) WARNING: tls [tls_mod.c:556]: mod_init(): set maximum pthreads key to 9", ""),
        ("Listening on", ""),
    ],
)
def test_of_kamailios_log_the_operator_sees_what_is_wrong_and_what_handoff_says(line: str, shown: str) -> None:
    assert KamailioLog(debug=False).pick(line) == shown


def test_the_lines_of_a_traceback_stay_together() -> None:
    log = KamailioLog(debug=False)
    lines = [
        " 0(7) ERROR: <core> [core/kemi.c:84]: sr_kemi_core_err(): Traceback",
        "  File x",
        "",
        OURS.replace("INFO", "DEBUG"),
    ]
    assert [log.pick(line) for line in lines][:2] == ["0(7) ERROR: Traceback", "File x"]


def test_what_kamailio_says_of_its_own_answer_to_a_web_page_is_kept_back() -> None:
    """Of each one it says that it is no SIP, and goes on in the same line."""
    lines = [
        "12(7) ERROR: <core> [core/parse_fline.c:271]: parse_first_line(): parse_first_line: bad message (offset: 22)",
        "12(7) ERROR: <core> [core/msg_parser.c:749]: parse_msg(): ERROR: parse_msg: message=<HTTP/1.1 101 Switching",
        "Upgrade: websocket",
        ">",
        f"12(7) ERROR: <core> [core/msg_translator.c:3256]: build_sip_msg_from_buf(): parsing failed{OURS}",
    ]
    log = KamailioLog(debug=False)
    assert [log.pick(line) for line in lines] == ["", "", "", "", "1(77) INFO: call=00aa event=Answered"]


def test_at_debug_level_everything_is_shown() -> None:
    assert KamailioLog(debug=True).pick(" 0(7) INFO: rr [rr_mod.c:188]: mod_init(): x").endswith("mod_init(): x")


def test_what_answers_a_challenge_is_hidden_at_debug_level() -> None:
    line = 'Authorization: Digest username="1001", response="0123456789abcdef", qop=auth'
    log = KamailioLog(debug=True)
    log.pick(" 0(7) DEBUG: tm [uac.c:1]: t_uac(): x")
    assert log.pick(line) == 'Authorization: Digest username="1001", response="***", qop=auth'
