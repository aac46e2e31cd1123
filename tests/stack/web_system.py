"""The whole stack with places for web pages, and users who may register there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.ports import free_port
from routing.users import User
from tests.stack.system import System
from tests.stack.tls_peer import Authority

if TYPE_CHECKING:
    from pathlib import Path

DOMAIN, PASSWORD = "handoff.test", "correct horse"
TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")


class WebSystem(System):
    """Listens on all transports, each at the port in `places`; `folder` is for the files of its certificate."""

    def __init__(self, *agents: str, folder: Path, sip: dict[str, Any] | None = None) -> None:
        self.places = {name: free_port("udp" if name == "udp" else "tcp") for name in TRANSPORTS}
        certificate, key = Authority(folder).certify("handoff", "127.0.0.1")
        listens = [f"{name}:127.0.0.1:{place}" for name, place in self.places.items()]
        super().__init__(
            *agents,
            sip={"listen": listens, **(sip or {})},
            tls={"certificate": str(certificate), "key": str(key)},
            sidecar=True,
            speech={"prompt": "Press {key}."},
            users={"domains": [DOMAIN], "ping_every": 1},
        )
        self.port = self.places["udp"]
        self.proxy, self.uri = ("127.0.0.1", self.port), f"sip:127.0.0.1:{self.port}"

    def add_user(self, name: str) -> str:
        """Let somebody register, and be a target; gives the user's name."""
        user = f"{name}@{DOMAIN}"
        self.store.put_user(user, User.of(user, PASSWORD).to_json())
        return user

    def url(self, transport: str) -> str:
        """Give the URL that a page connects to by "ws" or "wss"."""
        return f"{transport}://127.0.0.1:{self.places[transport]}"
