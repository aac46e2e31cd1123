"""The whole stack for a test: real Redis, rtpengine and Kamailio on free loopback ports, each to be stopped at will."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cli.daemons import DEBIANS_PYTHON, listen_options, user_definitions
from cli.speech.standard import is_ready
from cli.tls_files import with_tls
from cli.traces.place import trace_uri
from routing.pools import dispatcher_list
from routing.settings import Settings, make_settings
from routing.store import StoreError, open_store
from routing.store.redis_store import RedisStore
from routing.targets import Target
from rtpengine import Ping, Pool, RtpengineError
from tests.stack.daemon import Daemon
from tests.stack.sipp import free_port
from tests.stack.ua import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from routing.records import Call
    from routing.store import Store

ROOT = Path(__file__).parents[2]
NODE = "node1"
MEDIA_ADDRESS = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
"""Of this test run alone: two rtpengines at one address would share ports, and hear one another's calls."""


class System:
    """A context manager: everything runs inside, nothing is left after it.

    `agents` are the URIs of the one pool; `changes` are laid over the settings, section by section. There are as many
    rtpengines as `media_nodes` says. With `beside`, it is one more node: a Kamailio with the Redis and the rtpengines
    of another system. Agents are asked with OPTIONS every `ping_interval` seconds; a `Ua` does not answer by itself.
    Only with `sidecar` are there sounds in speech.folder, is SIP traced, and does rtpengine tell of keys. Kamailio asks
    `name_server` instead of the machine's own, which takes root: its /etc/resolv.conf is another one.
    """

    def __init__(
        self,
        *agents: str,
        media_nodes: int = 1,
        ping_interval: int = 600,
        beside: System | None = None,
        sidecar: bool = False,
        name_server: str | None = None,
        **changes: Any,
    ) -> None:
        self._name_server = name_server
        self.folder = Path(tempfile.mkdtemp(prefix="handoff-test-"))
        self.port = free_port()
        self.proxy = ("127.0.0.1", self.port)
        self.uri = f"sip:127.0.0.1:{self.port}"
        redis_url = f"unix://{(beside or self).folder}/redis.sock"
        ng = beside.settings.rtpengine.nodes if beside else _media_addresses(media_nodes)
        (self.folder / "sounds").mkdir()
        data: dict[str, Any] = {
            "node": {"id": NODE, "workers": 4},
            "sip": {"listen": [f"udp:127.0.0.1:{self.port}", f"tcp:127.0.0.1:{self.port}"], "no_reply_timeout": 1.0},
            "redis": {"url": redis_url},
            "rtpengine": {"nodes": ng, "dtmf_listen": f"127.0.0.1:{free_port()}" if sidecar else None},
            "speech": {"folder": str(self.folder / "sounds")},
            "trace": {"listen": f"127.0.0.1:{free_port()}" if sidecar else None},
            "pools": [{"name": "agents", "numbers": ["*"], "agents": [{"uri": uri} for uri in agents]}],
        }
        for section, values in changes.items():
            data[section] = {**data[section], **values} if isinstance(data.get(section), dict) else values
        self.settings: Settings = make_settings(with_tls(data, make_settings(data), self.folder))
        self.redis: Daemon = beside.redis if beside else self._redis()
        self.rtpengines: dict[str, Daemon] = (
            beside.rtpengines if beside else {name: self._rtpengine(name) for name in ng}
        )
        self.rtpengine = self.rtpengines["media1"]
        self.kamailio = self._kamailio(ping_interval)
        self._own = [] if beside else [self.redis, *self.rtpengines.values()]
        if sidecar:
            self.sidecar = self._sidecar()
            self._own.append(self.sidecar)
        # It rests after no failure: a test asks when it knows that Redis is back.
        self.store: Store = RedisStore(redis_url, deadline=2.0, rest=0.0)
        self.media = Pool(self.settings.rtpengine.nodes)

    def _redis(self) -> Daemon:
        path = f"{self.folder}/redis.sock"
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--appendonly", "yes", "--save", ""]
        return Daemon([*command, "--dir", str(self.folder)], self.folder / "redis.log", self._redis_answers)

    def _redis_answers(self) -> bool:
        try:
            store = open_store(f"unix://{self.folder}/redis.sock", deadline=0.5)
            store.ping()
            store.close()
        except StoreError:
            return False
        return True

    def _rtpengine(self, name: str) -> Daemon:
        address = self.settings.rtpengine.nodes[name]
        command = ["rtpengine", "--config-file=none", "--foreground", "--log-stderr", "--table=-1"]
        command += [f"--interface={MEDIA_ADDRESS}", f"--listen-ng={address}", "--port-min=30000", "--port-max=39999"]
        silence = round(self.settings.media.timeout)
        command += [f"--timeout={silence}", f"--offer-timeout={silence}", "--delete-delay=0", "--log-level=6"]
        if keys := self.settings.rtpengine.dtmf_listen:
            command.append(f"--dtmf-log-dest={keys}")
        return Daemon(command, self.folder / f"{name}.log", lambda: self._rtpengine_answers(name))

    def _rtpengine_answers(self, name: str) -> bool:
        pool = Pool(self.settings.rtpengine.nodes)
        try:
            pool.request(name, Ping())
        except RtpengineError:
            return False
        finally:
            pool.close()
        return True

    def _sidecar(self) -> Daemon:
        command = [sys.executable, "-m", "cli.main", "sidecar"]
        env = {"HANDOFF_SETTINGS": str(self.folder / "settings.json")}
        env["PROMETHEUS_MULTIPROC_DIR"] = str(self.folder / "metrics")
        return Daemon(command, self.folder / "sidecar.log", self._sidecar_is_ready, env)

    def _sidecar_is_ready(self) -> bool:
        process = self.sidecar.process
        time.sleep(0.02)  # the question costs next to nothing, and would be asked without a pause
        return process is not None and is_ready(self.folder / "sounds", process.pid)

    def _kamailio(self, ping_interval: int) -> Daemon:
        deploy = ROOT / "deploy" / "kamailio"
        (self.folder / "settings.json").write_text(self.settings.model_dump_json())
        (self.folder / "dispatcher.list").write_text(dispatcher_list(self.settings))
        (self.folder / "metrics").mkdir()
        command = ["kamailio", "-f", str(deploy / "kamailio.cfg"), "-DD", "-E", "-m", "512", "-M", "16", "-x", "fm"]
        command += ["-Y", str(self.folder), "-w", str(self.folder), "-n", str(self.settings.node.workers)]
        command += listen_options(self.settings)
        names: dict[str, object] = {
            "DISPATCHER_LIST": f'"{self.folder}/dispatcher.list"',
            "PING_INTERVAL": str(ping_interval),
            "LOG_LEVEL": "2",
            "TLS_CONFIG": f'"{self.folder}/tls.cfg"',
            "KEMI_SCRIPT": f'"{deploy}/handoff_kemi.py"',
            **user_definitions(self.settings),
        }
        if uri := trace_uri(self.settings):
            names["TRACE_URI"] = f'"{uri}"'
        for name, value in names.items():
            command += ["-A", f"{name}={value}"]
        if self._name_server:
            (self.folder / "resolv.conf").write_text(f"nameserver {self._name_server}\noptions timeout:1 attempts:1\n")
            mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", mount, str(self.folder / "resolv.conf"), *command]
        env = DEBIANS_PYTHON | {
            "HANDOFF_SETTINGS": str(self.folder / "settings.json"),
            "HANDOFF_SITE_PACKAGES": sysconfig.get_path("purelib"),
            "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics"),
        }
        return Daemon(command, self.folder / "kamailio.log", self._kamailio_answers, env)

    def _kamailio_answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            sender.settimeout(0.3)
            fields = (
                f"OPTIONS {self.uri} SIP/2.0",
                f"Via: SIP/2.0/UDP 127.0.0.1:{sender.getsockname()[1]};branch=z9hG4bK{time.monotonic_ns()}",
                "From: <sip:probe@127.0.0.1>;tag=probe",
                f"To: <{self.uri}>",
                f"Call-ID: {time.monotonic_ns()}",
                "CSeq: 1 OPTIONS",
                "Max-Forwards: 70",
                "Content-Length: 0",
            )
            sender.sendto("\r\n".join((*fields, "", "")).encode(), self.proxy)
            try:
                return sender.recv(4096).startswith(b"SIP/2.0 200")
            except OSError:
                return False

    def __enter__(self) -> Self:
        try:
            for daemon in (*self._own, self.kamailio):
                daemon.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in (self.kamailio, *reversed(self._own)):
            daemon.stop()
        self.store.close()
        self.media.close()
        shutil.rmtree(self.folder)

    def add_target(self, name: str, *endpoints: str | dict[str, Any], **settings: Any) -> None:
        """Keep a target as `handoff targets add` does."""
        target = Target.make({"name": name, "endpoints": list(endpoints), **settings})
        self.store.put_target(name, target.to_json())

    def calls(self) -> list[Call]:
        """Read all records; one that cannot be read fails the test."""
        calls = []
        for call in self.store.calls():
            assert not isinstance(call, Exception), call
            calls.append(call)
        return calls

    def media_calls(self, node: str = "media1") -> int:
        """Count the calls that an rtpengine holds."""
        host, port = self.settings.rtpengine.nodes[node].split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ng:
            ng.settimeout(2)
            ng.sendto(f'{time.monotonic_ns()} {{"command": "list", "limit": 9999}}'.encode(), (host, int(port)))
            return len(json.loads(ng.recv(1 << 20).split(b" ", 1)[1])["calls"])

    def transactions(self) -> int:
        """Count the transactions in Kamailio's memory."""
        return self.counter("tm.stats", "current")

    def counter(self, command: str, name: str) -> int:
        """Read one number from what `kamcmd` prints."""
        out = self._rpc("kamcmd", "-s", f"unix:{self.folder}/kamailio_ctl", command)
        return next(int(line.split(":")[1]) for line in out.splitlines() if line.strip().startswith(f"{name}:"))

    @staticmethod
    def wait_until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Ask until the answer is yes: for what the daemons do a moment after their last message."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"it did not come true within {timeout:g} s"
            time.sleep(0.01)

    @staticmethod
    def _rpc(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _media_addresses(count: int) -> dict[str, str]:
    return {f"media{number}": f"127.0.0.1:{free_port()}" for number in range(1, count + 1)}
