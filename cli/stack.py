"""The whole of handoff on one machine: Redis, rtpengine, Kamailio, sidecar and exporter, started, watched, stopped.

with Stack(settings, run_dir, state_dir) as stack:   # started, and ready
    stack.processes["kamailio"]                      # its process id
    stack.restart("rtpengine")
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cli import daemons
from cli.folders import Folder, FolderError
from cli.paths import METRICS, REDIS_SOCKET, SETTINGS, SOUNDS
from cli.ports import free_port, split_listen
from cli.preflight import UnfitError, find_problems, silent_nodes
from cli.probes import http_answers, node_beats, redis_answers, rtpengine_answers, sip_answers
from cli.speech.standard import is_ready
from cli.supervisor import Daemon
from cli.tls_files import with_tls
from cli.traces.place import find_family, pick_place
from routing.pools import dispatcher_list
from routing.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.supervisor import Program
    from routing.settings import Settings

START_SECONDS = 60.0
"""A Redis with a large file takes its time; all else is there within a second."""
PROBE_PAUSE = 0.05
DEATHS, WITHIN = 5, 10.0
"""A daemon that dies so often within so many seconds at start is given up."""
SHOWN_LINES = 15


class StackError(Exception):
    """A daemon could not be started; `lines` are the last of its log."""

    def __init__(self, text: str, lines: list[str]) -> None:
        super().__init__("\n".join([text, *(f"  {line}" for line in lines[-SHOWN_LINES:])]))
        self.lines = lines


def _quiet(source: str, line: str) -> None:
    """Say nothing."""


class Stack:
    """Everything that one node needs; a context manager, within which it is ready.

    `say(source, line)` gets the log, also from other threads; `pause(seconds)` waits between two looks at a daemon
    that starts, and may raise to give up.
    """

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        state_dir: Path,
        *,
        say: Callable[[str, str], None] = _quiet,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.run_dir = run_dir.absolute()
        self.state_dir = state_dir.absolute()
        self._say = say
        self._pause = pause
        self._own_redis = settings.redis.url is None
        self._own_rtpengine = not settings.rtpengine.nodes
        self._folders: dict[str, Folder] = {}
        self._daemons: dict[str, Daemon] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def processes(self) -> dict[str, int]:
        """The process ids of the daemons that run now."""
        return {name: pid for name, daemon in self._daemons.items() if (pid := daemon.pid)}

    @property
    def ports(self) -> dict[str, int]:
        """The ports: "udp", "tcp" (the first of each), "exporter", and "rtpengine" if it is our own."""
        ports = {"exporter": int(self.settings.metrics.listen.rpartition(":")[2])}
        for transport, _, port in map(split_listen, self.settings.sip.listen):
            ports.setdefault(transport, port)
        if self._own_rtpengine and self.settings.rtpengine.nodes:
            ports["rtpengine"] = int(self._ng_address.rpartition(":")[2])
        return ports

    def start(self) -> None:
        """Check, prepare and start everything; return when it is ready.

        Raises UnfitError with all that is wrong with this machine, and StackError when a daemon does not come up;
        then nothing is left behind.
        """
        try:
            self._take_folders()
            self._check()
            self._prepare()
            self._start_all()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything and remove what was made; does nothing where nothing runs."""
        for daemon in reversed(self._daemons.values()):
            daemon.stop()
        self._daemons.clear()
        if run := self._folders.pop("run", None):
            run.clear(daemons.RUN_FILES)
            run.leave(remove=True)
        if state := self._folders.pop("state", None):
            state.leave(remove=False)

    def restart(self, name: str) -> None:
        """Stop one daemon and start it again; return when it answers."""
        self.halt(name)
        self.resume(name)

    def halt(self, name: str) -> None:
        """Stop one daemon; it stays away until `resume`."""
        self._daemons[name].stop()

    def resume(self, name: str) -> None:
        """Start a daemon that was halted; return when it answers."""
        self._daemons[name].start()
        self.wait_for(name)

    def wait_for(self, name: str) -> None:
        """Wait until a daemon answers; raises StackError when it keeps dying, or is silent for a minute."""
        daemon, end = self._daemons[name], time.monotonic() + START_SECONDS
        while not self._answers(name):
            if daemon.deaths(WITHIN) >= DEATHS:
                text = f"{name} died {DEATHS} times within {WITHIN:g} s; the last lines of its log:"
                raise StackError(text, daemon.lines)
            if time.monotonic() >= end:
                text = f"{name} runs, but has not answered for {START_SECONDS:g} s; the last lines of its log:"
                raise StackError(text, daemon.lines)
            self._pause(PROBE_PAUSE)

    def describe(self) -> list[tuple[str, str]]:
        """Tell what listens where: pairs of a part and its places."""
        media, run_dir = self.settings.rtpengine, self.run_dir
        nodes = ", ".join(f"{name} {address}" for name, address in media.nodes.items())
        redis = f"{run_dir / REDIS_SOCKET} (ours, data in {self.state_dir})" if self._own_redis else "as configured"
        ours = f" (ours, media at {media.interface} ports {media.port_min}-{media.port_max})"
        parts = [
            ("sip", ", ".join(listen.replace(":", " ", 1) for listen in self.settings.sip.listen)),
            ("rtpengine", nodes + (ours if self._own_rtpengine else "")),
            ("redis", redis),
            ("sounds", str(self.settings.speech.folder)),
            ("metrics", f"http://{self.settings.metrics.listen}/metrics"),
            ("run dir", str(run_dir)),
        ]
        return [part for part in parts if part[0] != "metrics" or "exporter" in self._daemons]

    @property
    def _ng_address(self) -> str:
        return self.settings.rtpengine.nodes[self.settings.node.id]

    def _take_folders(self) -> None:
        wanted = {"run": (self.run_dir, "--run-dir")}
        if self._own_redis or self.settings.speech.folder is None:
            wanted["state"] = (self.state_dir, "--state-dir")
        problems, taken = [], False
        for key, (path, option) in wanted.items():
            try:
                self._folders[key] = Folder.take(path, option)
            except FolderError as error:
                problems.append(error.problem)
                taken = taken or error.taken
        # Where another instance runs, its ports are taken too: that would only hide what is wrong.
        if problems:
            raise UnfitError(problems if taken else [*problems, *find_problems(self.settings, self.run_dir)])

    def _check(self) -> None:
        if problems := find_problems(self.settings, self.run_dir):
            raise UnfitError(problems)
        for problem in silent_nodes(self.settings):
            self._say("handoff", f"warning: {problem}")
        if self.settings.trace.mode != "off" and find_family(self.settings) is None:
            self._say("handoff", "warning: SIP is not traced, since sip.listen has no udp to send it to the sidecar")

    def _prepare(self) -> None:
        """Fill the run dir, and the settings with what is our own."""
        run = self._folders["run"]
        run.clear(daemons.RUN_FILES)  # of a run that was killed
        data = self.settings.model_dump()
        if self._own_redis:
            data["redis"]["url"] = f"unix://{self.run_dir / REDIS_SOCKET}"
        if self._own_rtpengine:
            # By the name of the node: in a cluster no other node may take this rtpengine for its own.
            data["rtpengine"]["nodes"] = {self.settings.node.id: f"127.0.0.1:{free_port()}"}
            data["rtpengine"]["dtmf_listen"] = data["rtpengine"]["dtmf_listen"] or f"127.0.0.1:{free_port()}"
        data["trace"]["listen"] = data["trace"]["listen"] or pick_place(self.settings)
        if data["speech"]["folder"] is None:
            sounds = self.state_dir / SOUNDS
            sounds.mkdir(exist_ok=True)
            data["speech"]["folder"] = str(sounds)
        self.settings = make_settings(with_tls(data, self.settings, self.run_dir))
        (run.path / METRICS).mkdir()
        (run.path / daemons.DISPATCHER_LIST).write_text(dispatcher_list(self.settings))
        (run.path / SETTINGS).touch(mode=0o600)  # redis.url may hold a password
        (run.path / SETTINGS).write_text(self.settings.model_dump_json())

    def _start_all(self) -> None:
        if self._own_redis:
            self._add(daemons.redis(self.run_dir, self.state_dir))
        if self._own_rtpengine:
            self._add(daemons.rtpengine(self.settings, self._ng_address))
        for name in list(self._daemons):
            self.wait_for(name)
        self._add(daemons.kamailio(self.settings, self.run_dir))
        self._add(daemons.sidecar(self.run_dir))
        for name in ("kamailio", "sidecar"):
            self.wait_for(name)
        self._add(daemons.exporter(self.run_dir, self.settings.webhooks.timeout))

    def _add(self, program: Program) -> None:
        inherited = [folder.descriptor for folder in self._folders.values()]
        daemon = Daemon(program, self._say, inherited=inherited)
        self._daemons[program.name] = daemon
        daemon.start()

    def _answers(self, name: str) -> bool:
        settings, pid = self.settings, self._daemons[name].pid
        if pid is None:
            return False
        if name == "redis":
            return redis_answers(settings.redis.url or "")
        if name == "rtpengine":
            return rtpengine_answers(self._ng_address)
        if name == "sidecar":
            return is_ready(Path(settings.speech.folder or ""), pid)
        if name == "exporter":
            return http_answers(settings.metrics.listen)
        # Whoever stops it while it still starts its processes may leave some of them behind for a minute.
        return sip_answers(settings.sip.listen) and node_beats(settings.redis.url or "", settings.node.id, pid)
