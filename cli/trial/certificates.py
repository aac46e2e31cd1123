"""What is known of the certificate of a host over TLS, and whether handoff would take it."""

from __future__ import annotations

import contextlib
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from cli.diagnosis.finding import Finding, failed, ok, warning
from cli.probes import unchecked
from cli.tls_files import ca_fault
from cli.trial.line import Line, NoLine

if TYPE_CHECKING:
    from cli.trial.places import Place
    from routing.settings_model import Tls

SOON = 14
"""Days before its end from which on a certificate is to be renewed."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What came of a handshake; the line is None where it would not go on, the days where no certificate was seen."""

    findings: list[Finding]
    line: Line | None = None
    days: int | None = None


def connect_tls(place: Place, tls: Tls, ca_file: str | None) -> Handshake:
    """Make a handshake as Kamailio would, and say what came of it."""
    trusted = ca_file or tls.ca_file
    if tls.verify and trusted and (why := ca_fault(trusted)):
        mend = "give a readable PEM file as --ca-file"
        return Handshake([failed("certificate", f"{trusted} cannot be used ({why})", mend)])
    context = ssl.create_default_context(cafile=trusted) if tls.verify else unchecked()
    with contextlib.suppress(OSError):  # readable by the user of handoff alone
        if tls.certificate and tls.key:
            context.load_cert_chain(tls.certificate, tls.key)
    began = time.monotonic()
    try:
        line = Line(place, context)
    except ssl.SSLCertVerificationError as error:
        return _refused(place, error.verify_message.rstrip("."))
    except ssl.SSLError as error:
        mend = "see that TLS is spoken at this port, 1.2 or later, and whether it wants a certificate of us"
        return Handshake([failed("tls", f"the handshake failed: {error.reason or error}", mend)])
    except NoLine as error:
        return Handshake([failed("tls", f"no connection: {error}", "check host, port and firewalls, and that it runs")])
    shaken = ok("tls", f"connected and shaken hands in {(time.monotonic() - began) * 1000:.0f} ms")
    days, names = _read(line.certificate())
    return Handshake([shaken, _judge(days, names, place, verified=tls.verify)], line, days)


def _judge(days: int, names: str, place: Place, *, verified: bool) -> Finding:
    what = f"{days} days left, for {names}"
    if not verified:
        return warning("certificate", f"{what}; not checked", "set tls.verify = true in the configuration")
    if days < SOON:
        return warning("certificate", what, f"renew the certificate of {place.host} now")
    return ok("certificate", what)


def _refused(place: Place, why: str) -> Handshake:
    told, left = why, None
    with contextlib.suppress(NoLine, ssl.SSLError, ValueError), Line(place, unchecked()) as line:
        days, names = _read(line.certificate())
        left = days
        told = f"{why}; {f'{days} days left' if days >= 0 else f'it ended {-days} days ago'}, for {names}"
    if "expired" in why:
        mend = f"renew the certificate of {place.host}"
    elif "mismatch" in why or "not valid for" in why:
        mend = "call it by a name that its certificate has, or give it one for this name"
    else:
        mend = "give who certifies it: handoff targets set NAME --ca-file FILE, or tls.ca_file in the configuration"
    return Handshake([ok("tls", "the handshake began"), failed("certificate", told, mend)], days=left)


def _read(der: bytes) -> tuple[int, str]:
    """Give the days that are left of a certificate, and whom it is for."""
    certificate = x509.load_der_x509_certificate(der)
    days = int((certificate.not_valid_after_utc.timestamp() - time.time()) // 86400)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return days, certificate.subject.rfc4514_string()
    return days, ", ".join(str(name.value) for name in names)
