"""Certificates of a development CA, and a peer over TLS that shows one and notes what it is then told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

SCRIPT = Path(__file__).parents[2] / "deploy" / "dev_ca.sh"


class Authority:
    """A CA in a folder of its own, made by deploy/dev_ca.sh."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._make()
        self.ca_file = folder / "ca.pem"

    def certify(self, name: str, *hosts: str, expired: bool = False) -> tuple[Path, Path]:
        """Make a certificate for these hosts; gives its file and that of its key."""
        self._make(*(["--expired"] if expired else []), name, *hosts)
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def certify_again(
        self, name: str, host: str, *, begins_tomorrow: bool = False, by_itself: bool = False, for_clients: bool = False
    ) -> tuple[Path, Path]:
        """Make a certificate for a host that begins to be valid tomorrow, is signed by itself, or is for clients."""
        certificate, key = self.certify(name, host)
        good = x509.load_pem_x509_certificate(certificate.read_bytes())
        signing = serialization.load_pem_private_key((key if by_itself else self._folder / "ca.key").read_bytes(), None)
        assert isinstance(signing, ec.EllipticCurvePrivateKey)
        issuer = good.subject if by_itself else good.issuer
        builder = x509.CertificateBuilder(issuer, good.subject, good.public_key(), x509.random_serial_number())
        begins = datetime.now(UTC) + timedelta(days=1 if begins_tomorrow else -1)
        builder = builder.not_valid_before(begins).not_valid_after(begins + timedelta(days=2))
        others = (x509.ExtendedKeyUsage,) if for_clients else (x509.AuthorityKeyIdentifier,) if by_itself else ()
        for extension in good.extensions:
            if not isinstance(extension.value, others):
                builder = builder.add_extension(extension.value, extension.critical)
        if for_clients:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        made = builder.sign(signing, hashes.SHA256())
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return certificate, key

    def _make(self, *arguments: str) -> None:
        subprocess.run([SCRIPT, self._folder, *arguments], check=True)


class TlsPeer:
    """A context manager: takes TLS connections at a free port of 127.0.0.1, never answers, and keeps what comes in."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._context.sni_callback = lambda _, name, __: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.port: int = self._listener.getsockname()[1]
        self.names: list[str | None] = []
        self.received: list[bytes] = []
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # it is closed at the end
            while True:
                stream, _ = self._listener.accept()
                stream.settimeout(3)
                self._talk(stream)

    def _talk(self, stream: socket.socket) -> None:
        with stream:
            try:
                with self._context.wrap_socket(stream, server_side=True) as line:
                    if data := line.recv(65536):
                        self.received.append(data)
            except ssl.SSLError as error:
                self.refused.append(error.reason)
