"""Baresip as one more phone: it answers at once, speaks Opus alone, and keeps what it has heard as WAV files."""

from __future__ import annotations

import array
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cli.tones import Sound, listen
from tests.stack.sipp import free_port

if TYPE_CHECKING:
    from cli.phones import Login

CONFIG = """
net_interface 127.0.0.1
sip_listen 127.0.0.1:{port}
audio_player aubridge,ear
audio_source {source}
ausrc_srate 48000
ausrc_channels 2
audio_alert aubridge,bell
module_path {modules}
module opus.so
module g711.so
module ausine.so
module aubridge.so
module sndfile.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
module_app account.so
snd_path {folder}
"""
ACCOUNT = "<{uri}>;answermode=auto;audio_codecs={codec};{register}\n"
REGISTER = 'regint=600;auth_user={user};auth_pass={password};outbound="sip:{registrar};transport={transport}"'


class Baresip:
    """A context manager; its voice is a tone of `tone` hertz in one codec, and it takes calls for `user` alone.

    Without a tone no microphone is connected: it sends no RTP at all.

    With the host of a `registrar`, it registers there; with a `login` by `transport`, and is ready when it has.
    """

    def __init__(
        self,
        tone: int | None,
        *,
        user: str = "baresip",
        registrar: str = "",
        login: Login | None = None,
        transport: str = "udp",
        codec: str = "opus/48000/2",
    ) -> None:
        self.port = free_port()
        self._login = login
        uri, register = f"sip:{user}@{registrar or f'127.0.0.1:{self.port}'}", f"regint={60 if registrar else 0}"
        if login:
            fields = {"password": login.password, "registrar": login.registrar, "transport": transport}
            uri, register = login.uri, REGISTER.format(user=user, **fields)
        self._account = ACCOUNT.format(uri=uri, register=register, codec=codec)
        self.uri = f"sip:{user}@127.0.0.1:{self.port}"
        self._source = "aubridge,microphone" if tone is None else f"ausine,{tone}"
        self._control = free_port()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="baresip-"))
        modules = next(path.parent for path in Path("/usr/lib").glob("**/baresip/modules/opus.so"))
        config = CONFIG.format(
            port=self.port, control=self._control, source=self._source, modules=modules, folder=self._folder
        )
        (self._folder / "config").write_text(config)
        (self._folder / "accounts").write_text(self._account)
        (self._folder / "contacts").touch()
        self._log = (self._folder / "log").open("w+")
        command = ["stdbuf", "-oL", "baresip", "-f", str(self._folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, cwd=self._folder
        )
        try:
            self._wait_for("200 OK" if self._login else "baresip is ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=5)
        self._log.close()
        shutil.rmtree(self._folder)

    def dial(self, uri: str) -> None:
        """Call somebody; does not wait for the answer."""
        self._order("dial", uri)

    def hang_up(self) -> None:
        """End the call."""
        self._order("hangup")

    def _order(self, command: str, parameters: str = "") -> None:
        order = json.dumps({"command": command, "params": parameters}).encode()
        with socket.create_connection(("127.0.0.1", self._control), timeout=5) as control:
            control.sendall(b"%d:%s," % (len(order), order))
            said = b""
            while b'"response":true' not in said:  # events come in between
                more = control.recv(4096)
                assert more, f"baresip does not {command}, but says {said!r}"
                said += more

    def hung_up(self, calls: int = 1) -> None:
        """Wait until as many calls are over."""
        self._wait_for("terminated (duration", calls)

    def recordings(self) -> list[Path]:
        """Give what was heard in each call that is over, as WAV files."""
        return sorted(self._folder.glob("dump-*-dec.wav"))

    def heard(self, tones: dict[str, int]) -> list[Sound]:
        """Tell who was heard when; to be asked when the last call is over. Times are seconds of the recording."""
        path = self.recordings()[-1]
        with wave.open(str(path)) as file:
            samples = array.array("h", file.readframes(file.getnframes()))
            return listen(samples[:: file.getnchannels()], tones, rate=file.getframerate())

    def _wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + 5.0
        while (log := (self._folder / "log").read_text(errors="replace")).count(text) < times:
            assert time.monotonic() < deadline, f"baresip did not say {text!r}, but:\n{log}"
            time.sleep(0.02)  # a log file that grows is no event
