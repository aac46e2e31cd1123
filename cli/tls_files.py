"""What Kamailio reads about TLS, written from the settings: its tls.cfg, and a certificate of our own making."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING, Any

from cli.daemons import TLS_CERTIFICATE, TLS_CONFIG, TLS_KEY, find_program
from cli.ports import free_port, split_listen

if TYPE_CHECKING:
    from pathlib import Path

    from routing.settings import Settings

# Certificates of peers are checked by kemi/certificates.py, which needs no list of CAs here.
_TEMPLATE = """\
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
certificate = {certificate}
private_key = {key}

[client:default]
method = TLSv1.2+
verify_certificate = {verify}
require_certificate = {verify}
{client}"""


def with_tls(data: dict[str, Any], settings: Settings, folder: Path) -> dict[str, Any]:
    """Write the files into the folder, and complete the data of the settings by what they lack.

    Kamailio connects only from where it listens. So where the settings name no certificate it listens with one that
    nobody trusts, at the first address and a free port: for requests that a peer sends within a call.
    """
    data = {**data, "sip": {**data["sip"]}, "tls": {**data.get("tls", {})}}
    client = ""
    if settings.tls.certificate:
        client = f"certificate = {settings.tls.certificate}\nprivate_key = {settings.tls.key}\n"
    else:
        make_certificate(folder)
        data["tls"] |= {"certificate": str(folder / TLS_CERTIFICATE), "key": str(folder / TLS_KEY)}
    if not any(listen.startswith("tls:") for listen in settings.sip.listen):
        address = split_listen(settings.sip.listen[0])[1]
        place = f"[{address}]" if ":" in address else address
        data["sip"]["listen"] = [*settings.sip.listen, f"tls:{place}:{free_port('tcp', address)}"]
    files = {"certificate": data["tls"]["certificate"], "key": data["tls"]["key"], "client": client}
    verify = "yes" if settings.tls.verify else "no"
    (folder / TLS_CONFIG).write_text(_TEMPLATE.format(**files, verify=verify))
    return data


def ca_fault(ca_file: Path | str) -> str:
    """Tell why nobody can be trusted by this file; empty where it is good."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
    except OSError as error:
        return str(error)
    return ""


def make_certificate(folder: Path) -> None:
    """Make a certificate that is signed by its own key; raises OSError where openssl does not."""
    command = [find_program("openssl") or "openssl", "req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=handoff"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", str(folder / TLS_KEY), "-out", str(folder / TLS_CERTIFICATE)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise OSError(f"openssl could not make a certificate: {made.stderr.strip()}")
