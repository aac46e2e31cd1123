"""SIP phones in this process, for the demo and the tests: each hums its own tone and remembers what it hears.

    with Phones() as phones:
        caller = phones.add("caller", tone=CALLER)
        agent = phones.add("agent", tone=AGENT, answer_after=0.5)
        call = caller.call(agent.uri)
        call.wait(State.CONFIRMED)
        ...
        print(call.heard())

PJSIP plays and records against a null sound device; as it comes from PyPI it carries four calls and eight phones at a
time. Any thread may call any method; all waiting has a deadline and ends with PhoneError. All times are `time.time()`
in seconds.
"""

from cli.phones.call import MediaPath, PhoneCall
from cli.phones.events import (
    DigitHeard,
    Event,
    Incoming,
    MediaChanged,
    PhoneError,
    Referred,
    Registered,
    ReplyReceived,
    RequestReceived,
    State,
    StateChanged,
    TransferProgress,
)
from cli.phones.phone import Phone, Phones
from cli.phones.pjsip import Line, Login

__all__ = [
    "DigitHeard",
    "Event",
    "Incoming",
    "Line",
    "Login",
    "MediaChanged",
    "MediaPath",
    "Phone",
    "PhoneCall",
    "PhoneError",
    "Phones",
    "Referred",
    "Registered",
    "ReplyReceived",
    "RequestReceived",
    "State",
    "StateChanged",
    "TransferProgress",
]
