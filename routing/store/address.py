"""Where Redis is: the `redis.url` of the config, taken apart."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_DEFAULT_PORT = 6379
_TLS_OPTIONS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_FORMS = "write unix:///path, redis://host:port/db or rediss://host:port/db"


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis server and how to log in there; `path` is empty for TCP. `str()` shows it without the password."""

    path: str
    host: str
    port: int
    login: tuple[str, ...]
    database: int
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read unix://, redis:// and rediss:// URLs; raises ValueError that says what is wrong with it.

        A unix URL takes `?db=1`; a rediss URL takes `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` (paths).
        """
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unix = parts.scheme == "unix"
        if parts.scheme not in {"unix", "redis", "rediss"} or (unix and not parts.path):
            raise ValueError(f"{_shown(parts)} is no address of a Redis server: {_FORMS}")
        allowed = {"db"} | (_TLS_OPTIONS if parts.scheme == "rediss" else set())
        if unknown := sorted(set(options) - allowed):
            raise ValueError(f"{_shown(parts)} has the unknown option {unknown[0]}: {_FORMS}")
        database = options.get("db") or ("" if unix else parts.path.strip("/")) or "0"
        if not database.isdecimal():
            raise ValueError(f"{_shown(parts)} names the database {database!r}, which is no number: {_FORMS}")
        return cls(
            path=unquote(parts.path) if unix else "",
            host=parts.hostname or "localhost",
            port=parts.port or _DEFAULT_PORT,
            login=tuple(unquote(part) for part in (parts.username, parts.password) if part),
            database=int(database),
            tls=_tls(options) if parts.scheme == "rediss" else None,
        )

    def greeting(self) -> list[tuple[str | int, ...]]:
        """Give the commands that a new connection begins with."""
        commands: list[tuple[str | int, ...]] = []
        if self.login:
            commands.append(("AUTH", *self.login))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def _shown(parts: SplitResult) -> str:
    """Write the URL without user and password, for messages."""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    return context
