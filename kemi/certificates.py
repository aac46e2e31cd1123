"""Checking the certificates of peers: Kamailio's TLS module checks who signed them, but not whom they are for.

So OpenSSL, which Kamailio has in its processes, is told to ask us, by a callback in each TLS context that Kamailio
makes. It is asked in the middle of the handshake, before any SIP is sent: a request never reaches a peer that is not
the one dialled. Who was dialled stands in the server name of the handshake (SNI), which `name_peer` sets.
"""

from __future__ import annotations

import _ssl
import ctypes
import ipaddress
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import KSR

from routing.uris import host_of, may_be_tls

if TYPE_CHECKING:
    from routing.settings_model import Tls

CA_FILES = "cafiles"
"""Shared memory: the CA file of each host that has one of its own."""
REFUSED = "refused"
"""Shared memory: why the certificate of a host was refused last, for a while."""
_NAME = "$xavp(tls=>server_name)"
_NO_NAME = ".address.invalid"
"""Ends what stands for an IP address in the server name, where none may be (RFC 6066 section 3)."""
_SSL_CTX = 1  # CRYPTO_EX_INDEX_SSL_CTX
_HOST_NAME = 0  # TLSEXT_NAMETYPE_host_name
_WHOLE_LABELS = 4  # X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
_UNTRUSTED = 27  # X509_V_ERR_CERT_UNTRUSTED

_Pointer = ctypes.c_void_p
_Made = ctypes.CFUNCTYPE(None, _Pointer, _Pointer, _Pointer, ctypes.c_int, ctypes.c_long, _Pointer)
_Verify = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer)
_FUNCTIONS = {
    "CRYPTO_get_ex_new_index": (ctypes.c_int, ctypes.c_int, ctypes.c_long, _Pointer, _Made, _Pointer, _Pointer),
    "SSL_CTX_set_cert_verify_callback": (None, _Pointer, _Verify, _Pointer),
    "SSL_get_ex_data_X509_STORE_CTX_idx": (ctypes.c_int,),
    "SSL_get_servername": (ctypes.c_char_p, _Pointer, ctypes.c_int),
    "SSL_is_server": (ctypes.c_int, _Pointer),
    "X509_STORE_new": (_Pointer,),
    "X509_STORE_load_locations": (ctypes.c_int, _Pointer, ctypes.c_char_p, ctypes.c_char_p),
    "X509_STORE_set_default_paths": (ctypes.c_int, _Pointer),
    "X509_STORE_CTX_new": (_Pointer,),
    "X509_STORE_CTX_free": (None, _Pointer),
    "X509_STORE_CTX_init": (ctypes.c_int, _Pointer, _Pointer, _Pointer, _Pointer),
    "X509_STORE_CTX_set_default": (ctypes.c_int, _Pointer, ctypes.c_char_p),
    "X509_STORE_CTX_get_ex_data": (_Pointer, _Pointer, ctypes.c_int),
    "X509_STORE_CTX_get0_cert": (_Pointer, _Pointer),
    "X509_STORE_CTX_get0_untrusted": (_Pointer, _Pointer),
    "X509_STORE_CTX_get0_param": (_Pointer, _Pointer),
    "X509_STORE_CTX_get_error": (ctypes.c_int, _Pointer),
    "X509_STORE_CTX_set_error": (None, _Pointer, ctypes.c_int),
    "X509_VERIFY_PARAM_set1_host": (ctypes.c_int, _Pointer, ctypes.c_char_p, ctypes.c_size_t),
    "X509_VERIFY_PARAM_set1_ip_asc": (ctypes.c_int, _Pointer, ctypes.c_char_p),
    "X509_VERIFY_PARAM_set_hostflags": (None, _Pointer, ctypes.c_uint),
    "X509_verify_cert": (ctypes.c_int, _Pointer),
    "X509_verify_cert_error_string": (ctypes.c_char_p, ctypes.c_long),
}
"""What is needed of OpenSSL, each with its result and its parameters; the same in 1.1.1 and all of 3."""

_INSTALLED: list[Certificates] = []
"""Kept for ever: OpenSSL has the addresses of their functions."""


class Certificates:
    """Checks, in each process of Kamailio, the certificates of those that it connects to."""

    def __init__(self, ca_file: str | None) -> None:
        """Take whom we trust where a host has no CA file of its own; None: whom the system trusts."""
        self._ca_file = ca_file
        self._starter = os.getpid()
        self._openssl = ctypes.CDLL(_ssl.__file__)  # with what it is linked to, which is what Kamailio is linked to
        for name, (result, *parameters) in _FUNCTIONS.items():
            function = getattr(self._openssl, name)
            function.restype, function.argtypes = result, parameters
        # Kept, or they would be collected while OpenSSL still has their addresses.
        self._verify, self._made = _Verify(self._check), _Made(self._context_made)

    def install(self) -> None:
        """Have the contexts that Kamailio makes from now on, until it forks, ask us; raises OSError."""
        _INSTALLED.append(self)
        if self._openssl.CRYPTO_get_ex_new_index(_SSL_CTX, 0, None, self._made, None, None) < 0:
            raise OSError("OpenSSL does not let certificates be checked")

    def _context_made(self, context: int, *_: object) -> None:
        if os.getpid() == self._starter:  # later ones are Python's own, as for Redis
            self._openssl.SSL_CTX_set_cert_verify_callback(context, self._verify, None)

    def _check(self, asked: int, _: object) -> int:
        """Answer OpenSSL: 1 for a certificate that is good."""
        openssl = self._openssl
        ssl = openssl.X509_STORE_CTX_get_ex_data(asked, openssl.SSL_get_ex_data_X509_STORE_CTX_idx())
        if openssl.SSL_is_server(ssl):
            return int(openssl.X509_verify_cert(asked))
        host = host_named((openssl.SSL_get_servername(ssl, _HOST_NAME) or b"").decode())
        try:
            error = self._error(asked, host)
        except OSError as problem:
            error, why = _UNTRUSTED, str(problem)
        else:
            why = openssl.X509_verify_cert_error_string(error).decode()
        openssl.X509_STORE_CTX_set_error(asked, error)
        if not error:
            KSR.htable.sht_rm(REFUSED, host)
            return 1
        KSR.err(f"TLS: the certificate of {host or 'a peer that nobody named'} is refused: {why}\n")
        KSR.htable.sht_sets(REFUSED, host, why)
        return 0

    def _error(self, asked: int, host: str) -> int:
        """Check the certificate for this host (RFC 5922 section 7.3): 0 or the number of what is wrong."""
        if not host:
            return _UNTRUSTED
        openssl = self._openssl
        own = KSR.htable.sht_get(CA_FILES, host)
        store = self._store(str(own) if own else self._ca_file)
        check = openssl.X509_STORE_CTX_new()
        try:
            certificate, others = openssl.X509_STORE_CTX_get0_cert(asked), openssl.X509_STORE_CTX_get0_untrusted(asked)
            if openssl.X509_STORE_CTX_init(check, store, certificate, others) <= 0:
                return _UNTRUSTED
            openssl.X509_STORE_CTX_set_default(check, b"ssl_server")
            wanted = openssl.X509_STORE_CTX_get0_param(check)
            openssl.X509_VERIFY_PARAM_set_hostflags(wanted, _WHOLE_LABELS)
            if is_address(host):
                taken = openssl.X509_VERIFY_PARAM_set1_ip_asc(wanted, host.encode())
            else:
                taken = openssl.X509_VERIFY_PARAM_set1_host(wanted, host.encode(), len(host))
            good = taken > 0 and openssl.X509_verify_cert(check) > 0
            return 0 if good else int(openssl.X509_STORE_CTX_get_error(check)) or _UNTRUSTED
        finally:
            openssl.X509_STORE_CTX_free(check)

    def _store(self, ca_file: str | None) -> int:
        """Give whom we trust, read again when the file has changed; raises OSError where it cannot be read."""
        changed = Path(ca_file).stat().st_mtime_ns if ca_file else 0
        return self._read(ca_file, changed)

    @lru_cache(64)  # noqa: B019 - there is one object, for ever
    def _read(self, ca_file: str | None, changed: int) -> int:
        del changed
        store = self._openssl.X509_STORE_new()
        if ca_file is None:
            self._openssl.X509_STORE_set_default_paths(store)
        elif self._openssl.X509_STORE_load_locations(store, ca_file.encode(), None) <= 0:
            raise OSError(f"{ca_file} has no certificates")
        return int(store)


def check_peers(tls: Tls) -> None:
    """Have certificates checked, unless the settings say otherwise; to be called before Kamailio makes its contexts."""
    if tls.verify:
        Certificates(tls.ca_file).install()


def name_peer(hop: str, called: str = "", ca_file: str = "") -> None:
    """Say whom the connection must be with that the next request opens; one that is open already is kept.

    That is the host of the URI `hop`; but that of `called`, where a party was called by us: the Contact in its answer
    may be at a host without a name. With a `ca_file`, its certificate is checked with that from now on.
    """
    if may_be_tls(hop):
        host = host_of(called or hop)
        KSR.pvx.xavp_rm("tls")
        KSR.pv.sets(_NAME, host_name(host))
        if ca_file:
            trust(host, ca_file)


def trust(host: str, ca_file: str) -> None:
    """Say whose CA file the certificate of a host is checked with; empty: that of the settings."""
    if ca_file:
        KSR.htable.sht_sets(CA_FILES, host, ca_file)
    else:
        KSR.htable.sht_rm(CA_FILES, host)


def refusal(host: str) -> str:
    """Tell why the certificate of a host was refused a moment ago; empty where it was not."""
    return str(KSR.htable.sht_get(REFUSED, host) or "")


def is_address(host: str) -> bool:
    """Tell an IP address from a name."""
    return host_name(host) != host


def host_name(host: str) -> str:
    """Write a host as a server name, which must not be an address; `host_named` reads it."""
    try:
        return f"{ipaddress.ip_address(host).packed.hex()}{_NO_NAME}"
    except ValueError:
        return host


def host_named(name: str) -> str:
    """Read what `host_name` has written."""
    written = name.removesuffix(_NO_NAME)
    return name if written == name else str(ipaddress.ip_address(bytes.fromhex(written)))
