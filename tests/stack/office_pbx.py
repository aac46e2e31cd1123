"""An office whose PBX is Asterisk, set up as the manual says, with some more extensions and ways to be called.

Who calls with the header X-Way is taken for another endpoint, with settings of its own.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from cli.phones import Line, Login, Registered
from tests.stack.asterisk import Asterisk
from tests.stack.manual import Example

if TYPE_CHECKING:
    from cli.phones import Phone, Phones
    from tests.stack.system import System

PASSWORD = "k3ep-this"
PHONES = "127.0.0.3"
"""Where the phones of the office are: Asterisk knows handoff by its address."""
TONE = 1480
"""Hertz of the extension `tone`."""
WAYS = {
    "login": "auth=login",
    "g722": "disallow=all\nallow=g722",
    "alaw": "disallow=all\nallow=alaw",
    "opus": "disallow=all\nallow=opus",
    "direct": "direct_media=yes",
    "timers": "timers=always\ntimers_sess_expires=90",
    "srtp": "media_encryption=sdes",
    "info": "dtmf_mode=info",
}
WAY = """
[way-{name}]
type=endpoint
context=from-handoff
transport=transport-udp
allow=!all,ulaw,alaw,g722
direct_media=no
{settings}

[way-{name}]
type=identify
endpoint=way-{name}
match_header=X-Way: {name}
"""
PHONE = """
[{number}]
type=endpoint
context=phones
transport=transport-udp
allow=!all,ulaw,alaw,g722
direct_media={direct}
auth={number}
aors={number}

[{number}]
type=auth
username={number}
password={password}

[{number}]
type=aor
max_contacts=1
"""
OTHERS = f"""
[global]
type=global
endpoint_identifier_order=header,ip,username

[login]
type=auth
username=handoff
password={PASSWORD}
"""
EXTENSIONS = f"""
[from-handoff](+)
exten => tone,1,Answer()
 same => n,PlayTones({TONE})
 same => n,Wait(60)
exten => echo,1,Answer()
 same => n,Echo()
exten => busy,1,Busy(1)
exten => engaged,1,Hangup(17)
exten => full,1,Hangup(34)
exten => declined,1,Hangup(21)
exten => nobody,1,Hangup(1)
exten => silent,1,Ringing()
 same => n,Wait(60)
exten => _100[2-9],1,Dial(PJSIP/${{EXTEN}},30)
 same => n,Hangup()
exten => elsewhere,1,Answer()
 same => n,PlayTones({TONE})
 same => n,Wait(2)
 same => n,Transfer(PJSIP/sip:desk@HANDOFF)

[phones]
include => to-handoff
exten => _10XX,1,Dial(PJSIP/${{EXTEN}},30)
exten => tone,1,Goto(from-handoff,tone,1)
"""
NUMBERS = {"1001": "no", "1002": "no", "1003": "yes", "1004": "no", "2001": "no"}
"""The phones of the office, and whether Asterisk lets their media go past it."""


def some_host() -> str:
    """Choose an address that nobody else has."""
    return ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])


def example(host: str, port: int) -> Example:
    """Give the example of the manual, for an Asterisk at `host` and a handoff at this port of 127.0.0.1."""
    here = f"127.0.0.1:{port}"
    return Example("Asterisk", {"203.0.113.5:5060": here, "203.0.113.5": "127.0.0.1", "198.51.100.30": host})


class Office(Asterisk):
    """Asterisk with the example of the manual, and `phones` to register there."""

    def __init__(self, host: str, system: System, phones: Phones) -> None:
        self._phones = phones
        self.example = example(host, system.port)
        pjsip, extensions = self.example.blocks("ini")
        ways = [WAY.format(name=name, settings=settings) for name, settings in WAYS.items()]
        numbers = [PHONE.format(number=n, direct=direct, password=PASSWORD) for n, direct in NUMBERS.items()]
        others = [_like_1001(extensions, "off", "1004", 60), _like_1001(extensions, "brief", "1001", 1)]
        others.append(EXTENSIONS.replace("HANDOFF", f"127.0.0.1:{system.port}"))
        files = {"pjsip.conf": [OTHERS, pjsip, *ways, *numbers], "extensions.conf": [extensions, *others]}
        super().__init__(host, {name: "\n".join(parts) for name, parts in files.items()})

    def phone(self, number: str, tone: int, **settings: object) -> Phone:
        """Switch on a phone, which registers."""
        login = Login(f"sip:{number}@{self.host}", PASSWORD, f"{self.host}:5060")
        line = Line(address=PHONES, login=login)
        phone = self._phones.add(number, tone=tone, line=line, **settings)  # type: ignore[arg-type]
        assert phone.wait_for(Registered).code == 200
        return phone

    def available(self) -> str:
        """Give the contacts that have answered OPTIONS, as Asterisk shows them."""
        return "\n".join(line for line in self.order("pjsip show contacts").splitlines() if " Avail " in line)

    def uri(self, extension: str) -> str:
        """Give the URI of an extension."""
        return f"sip:{extension}@{self.host}:5060"


def _like_1001(extensions: str, name: str, phone: str, seconds: int) -> str:
    """Write another extension just like the one of the manual."""
    (text,) = re.findall(r"^exten => 1001,.*?\n\n", extensions, re.MULTILINE | re.DOTALL)
    text = text.replace("exten => 1001", f"exten => {name}").replace("PJSIP/1001,60", f"PJSIP/{phone},{seconds}")
    return f"[from-handoff](+)\n{text}"
