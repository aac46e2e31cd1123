"""A PBX that most people know: Asterisk, with configuration files that the test gives, beside the installed system."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.stack.daemon import Daemon
from tests.stack.system import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

TREE = ROOT / ".venv/share/handoff/asterisk"
"""Where deploy/install.sh has unpacked it, with the libraries that it was made for."""
MODULES = """
bridge_builtin_features bridge_native_rtp bridge_simple bridge_softmix chan_pjsip app_dial app_echo app_exec
app_playtones app_transfer codec_alaw codec_a_mu codec_g722 codec_opus_open_source codec_resample codec_ulaw
format_pcm func_callerid func_channel func_logic pbx_config res_crypto res_format_attr_opus res_geolocation
res_pjproject res_pjsip res_pjsip_acl res_pjsip_authenticator_digest res_pjsip_caller_id res_pjsip_diversion
res_pjsip_dlg_options res_pjsip_dtmf_info res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user
res_pjsip_header_funcs res_pjsip_logger res_pjsip_nat res_pjsip_outbound_authenticator_digest
res_pjsip_outbound_registration res_pjsip_path res_pjsip_pubsub res_pjsip_refer res_pjsip_registrar
res_pjsip_rfc3326 res_pjsip_sdp_rtp res_pjsip_session res_rtp_asterisk res_sorcery_astdb res_sorcery_config
res_sorcery_memory res_srtp res_timing_timerfd
"""
"""Those that phones, trunks and their calls need: it starts in half the time."""
PLACES = ("etc", "db", "key", "spool", "run", "log", "varlib", "agi")


class Asterisk:
    """A context manager; it has the standard port of `host`, an address that nobody else has.

    `files` are the texts of its configuration files by name, such as pjsip.conf; the transport is there already, as in
    the file that comes with Asterisk.
    """

    def __init__(self, host: str, files: Mapping[str, str]) -> None:
        self.host = host
        self._folder = Path(tempfile.mkdtemp(prefix="asterisk-"))
        self._write(files)
        self.process = Daemon([*self._command(), "-f"], self._folder / "log", self._is_booted)

    def _write(self, files: Mapping[str, str]) -> None:
        places = [f"ast{name}dir => {self._folder}" for name in PLACES]
        places += [f"astmoddir => {TREE}/usr/lib/asterisk/modules", f"astdatadir => {TREE}/usr/share/asterisk"]
        transport = f"[transport-udp]\ntype=transport\nprotocol=udp\nbind={self.host}\n"
        own = {
            "asterisk.conf": "\n".join(["[directories]", *places, ""]),
            "modules.conf": "\n".join(
                ["[modules]", "autoload=no", *(f"load = {name}.so" for name in MODULES.split()), ""]
            ),
            "logger.conf": "[general]\ndateformat=%T.%3q\n[logfiles]\nlog => notice,warning,error\n",
            "rtp.conf": "[general]\nrtpstart=40000\nrtpend=49999\nicesupport=no\nstrictrtp=no\n",
        }
        for name, text in {**own, **files, "pjsip.conf": transport + files.get("pjsip.conf", "")}.items():
            (self._folder / name).write_text(text)

    def _command(self) -> list[str]:
        """Start it with its own loader and libraries, whatever this machine has."""
        (loader,) = TREE.glob("lib/*-linux-gnu/ld-*.*.so")
        folders = [loader.parent, TREE / "usr/lib" / loader.parent.name, TREE / "usr/lib"]
        libraries = ":".join(map(str, folders))
        program = [str(TREE / "usr/sbin/asterisk"), "-C", str(self._folder / "asterisk.conf")]
        return [str(loader), "--inhibit-cache", "--library-path", libraries, *program]

    def __enter__(self) -> Self:
        try:
            self.process.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
        shutil.rmtree(self._folder)

    def _is_booted(self) -> bool:
        return "fully booted" in self.order("core waitfullybooted")

    def order(self, command: str) -> str:
        """Type a command; gives what Asterisk says."""
        order = [*self._command(), "-rx", command]
        return subprocess.run(order, check=False, capture_output=True, text=True).stdout
