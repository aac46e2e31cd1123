"""The programs of the stack: how each is started, and what of its log an operator needs."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from dataclasses import replace
from typing import TYPE_CHECKING

from cli.paths import DEPLOY, DRAINING, METRICS, REDIS_SOCKET, SETTINGS
from cli.ports import BELOW_WEBSOCKET
from cli.supervisor import Program
from cli.traces.place import trace_uri
from routing.settings_lookup import advertised

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from routing.settings import Settings

SCRIPT = DEPLOY / "kamailio" / "handoff_kemi.py"
CONFIG = DEPLOY / "kamailio" / "kamailio.cfg"
DISPATCHER_LIST = "dispatcher.list"
TLS_CONFIG, TLS_CERTIFICATE, TLS_KEY = "tls.cfg", "tls.pem", "tls.key"
RUN_FILES = (
    SETTINGS,
    DRAINING,
    DISPATCHER_LIST,
    TLS_CONFIG,
    TLS_CERTIFICATE,
    TLS_KEY,
    METRICS,
    REDIS_SOCKET,
    "kamailio_ctl",
    "kamailio_rpc.fifo",
    "kamailio_rpc.sock",
)
"""What there may be in the run dir, made by us or by the daemons."""

SHARED_MEGABYTES, PRIVATE_MEGABYTES = 512, 16
PING_INTERVAL = 10
"""Seconds between two OPTIONS to each agent."""
LOG_LEVELS = {"error": -1, "warning": 0, "info": 2, "debug": 3}
DEBIANS_PYTHON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONHOME": "", "PYTHONPATH": ""}
"""The Python in Kamailio finds its library by the first python3 of the PATH: that must not be anybody's pyenv."""
REDIS_PATIENCE = 10.0
"""Seconds that Redis may take to write what it holds."""
EXPORTER_SPARE = 3.0
"""Seconds that the exporter may take to end, besides those of webhooks under way."""

KAMAILIO_LINE = re.compile(r"\s*\d+\(\d+\) (?P<level>[A-Z]+): ")
ANSWER_TO_CHALLENGE = re.compile(r'\b(response=")\w+')
OUR_LINE = re.compile(r"<core> \[core/kemi\.c:\d+\]: sr_kemi_core_\w+\(\): ")
# What its workers repeat without end in the moment between their leader's death and their own; and what its TLS module
# warns of at each start, whatever the version of OpenSSL, and (Kamailio 6) though it is the first module.
ORPHANS_LINE = re.compile(
    r"receive_fd\(\): EOF on|handle_io\(\): 0 bytes read|openssl bug #1491"
    r"|mod_init\(\): (detected initialized thread-locals|set maximum pthreads key)"
)
# What it says of its own HTTP responses, which it takes for SIP; the last of it without an end of line.
HTTP_LINE = re.compile(r"parse_first_line\(\): parse_first_line: bad message|parse_msg: message=<HTTP/1\.")
HTTP_END = re.compile(r".*build_sip_msg_from_buf\(\): parsing failed")
# A flag that only later versions know, and that changes nothing for this one; and what its library for encryption says
# where a user may not lock memory.
RTPENGINE_CHATTER = re.compile(r"Unknown flag encountered: 'directional'|Warning: using insecure memory!")
REDIS_CHATTER = re.compile(
    r"oO0OoO0OoO0Oo|just started|Server initialized|Configuration loaded|scheduling shutdown|User requested shutdown"
    r"|Removing the unix socket|Redis is now ready to exit"
)


NO_OVERCOMMIT = "vm.overcommit_memory is 0; when memory is short, Redis may fail to save: sysctl vm.overcommit_memory=1"


def find_program(name: str) -> str | None:
    """Find a program, also where administrators have theirs (Debian's users do not have /usr/sbin in their PATH)."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")


def redis(run_dir: Path, state_dir: Path) -> Program:
    """Redis on a unix socket, with an append-only file: a restart loses nothing, a crash of the machine a second."""
    command = ["redis-server", "--port", "0", "--unixsocket", str(run_dir / REDIS_SOCKET), "--unixsocketperm", "700"]
    command += ["--dir", str(state_dir), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    command += ["--loglevel", "warning", "--daemonize", "no"]
    return _program("redis", command, pick=_pick_redis, patience=REDIS_PATIENCE)


def rtpengine(settings: Settings, address: str) -> Program:
    """Rtpengine without its kernel module, commanded at `address` (host:port)."""
    ours, timeout = settings.rtpengine, round(settings.media.timeout)
    command = ["rtpengine", "--config-file=none", "--foreground", "--log-stderr", "--log-level=4", "--table=-1"]
    command += [f"--interface={ours.interface}", f"--listen-ng={address}"]
    command += [f"--port-min={ours.port_min}", f"--port-max={ours.port_max}"]
    command += [f"--timeout={timeout}", "--silent-timeout=3600", "--delete-delay=0"]
    command += ["--offer-timeout=330"]  # an agent or a target rings for 300 seconds at most
    if ours.dtmf_listen is not None:
        command += [f"--dtmf-log-dest={ours.dtmf_listen}"]
    return _program("rtpengine", command, pick=lambda line: "" if RTPENGINE_CHATTER.search(line) else line)


def kamailio(settings: Settings, run_dir: Path) -> Program:
    """Kamailio with handoff's decisions in it; the files that it reads are in the run dir."""
    command = ["kamailio", "-f", str(CONFIG), "-DD", "-E", "-Y", str(run_dir), "-w", str(run_dir)]
    command += ["-x", "fm"]  # Debian's default allocator is the one for debugging, and takes a tenth of the time
    command += ["-m", str(SHARED_MEGABYTES), "-M", str(PRIVATE_MEGABYTES), "-n", str(settings.node.workers)]
    command += listen_options(settings)
    definitions: dict[str, object] = {
        "DISPATCHER_LIST": f'"{run_dir / DISPATCHER_LIST}"',
        "TLS_CONFIG": f'"{run_dir / TLS_CONFIG}"',
        "KEMI_SCRIPT": f'"{SCRIPT}"',
        "PING_INTERVAL": PING_INTERVAL,
        "LOG_LEVEL": LOG_LEVELS[settings.log.level],
        **user_definitions(settings),
    }
    if uri := trace_uri(settings):
        definitions["TRACE_URI"] = f'"{uri}"'
    for name, value in definitions.items():
        command += ["-A", f"{name}={value}"]
    environ = DEBIANS_PYTHON | {
        "HANDOFF_SETTINGS": str(run_dir / SETTINGS),
        "HANDOFF_SITE_PACKAGES": sysconfig.get_path("purelib"),
        "PROMETHEUS_MULTIPROC_DIR": str(run_dir / METRICS),
    }
    return _program("kamailio", command, environ, KamailioLog(debug=settings.log.level == "debug").pick)


def user_definitions(settings: Settings) -> dict[str, object]:
    """Give what Kamailio's configuration is told of registrations."""
    users = settings.users
    return {
        "MAX_CONTACTS": users.max_contacts,
        "MAX_EXPIRES": users.max_expires,
        "PING_USERS": users.ping_every,
        "REPLY_CALLBACK": '"ksr_reply_route"' if users.domains else '"none"',
    }


def listen_options(settings: Settings) -> list[str]:
    """Tell Kamailio where to listen: places for WebSocket last, since what it connects to it connects from the first.

    To Kamailio these are TCP and TLS; what comes in by HTTP there is handled by kemi/web.py.
    """
    options: list[str] = []
    for listen in sorted(settings.sip.listen, key=lambda listen: listen.startswith("ws")):
        transport, _, place = listen.partition(":")
        where = f"{BELOW_WEBSOCKET.get(transport, transport)}:{place}"
        options += ["-l", f"{where}/{advertised(settings.sip, listen)}" if settings.sip.advertise else where]
    return options


def exporter(run_dir: Path, webhook_timeout: float) -> Program:
    """Make the exporter, with the settings in the run dir; it ends when the webhooks under way are answered."""
    return replace(_handoff("exporter", run_dir), patience=webhook_timeout + EXPORTER_SPARE)


def sidecar(run_dir: Path) -> Program:
    """Make the sidecar, with the settings in the run dir."""
    return _handoff("sidecar", run_dir)


def _handoff(command: str, run_dir: Path) -> Program:
    environ = {"HANDOFF_RUN_DIR": str(run_dir), "HANDOFF_SETTINGS": str(run_dir / SETTINGS)}
    environ["PROMETHEUS_MULTIPROC_DIR"] = str(run_dir / METRICS)
    return Program(command, (sys.executable, "-m", "cli.main", command), environ)


class KamailioLog:
    """Picks from Kamailio's log what is wrong and what handoff says; its own chatter only at debug level.

    That has whole messages: what answers a challenge in them is hidden, since passwords can be guessed by it.
    """

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug
        self._shows = False

    def pick(self, line: str) -> str:
        """Give the line as the operator sees it, or "" for none."""
        line = HTTP_END.sub("", line)
        if found := KAMAILIO_LINE.match(line):
            chatter = found["level"] in {"INFO", "NOTICE"} and not OUR_LINE.search(line)
            self._shows = self._debug or not (chatter or ORPHANS_LINE.search(line) or HTTP_LINE.search(line))
        # A line without a head goes on with the one before, as those of a traceback do.
        return ANSWER_TO_CHALLENGE.sub(r"\1***", OUR_LINE.sub("", line)).strip() if self._shows else ""


def _pick_redis(line: str) -> str:
    if "WARNING Memory overcommit" in line or "WARNING overcommit_memory" in line:  # since Redis 7, and before
        return NO_OVERCOMMIT
    return "" if REDIS_CHATTER.search(line) else line


def _program(
    name: str,
    command: list[str],
    environ: dict[str, str] | None = None,
    pick: Callable[[str], str] = str,
    patience: float = 5.0,
) -> Program:
    program = find_program(command[0]) or command[0]
    return Program(name, (program, *command[1:]), environ or {}, pick, patience)
