"""Whether rtpengine can play a sound file: tried on a call that nobody has."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from cli.output import Failed
from rtpengine import Client, CommandRefused, Delete, Offer, PlayMedia, RtpengineError

if TYPE_CHECKING:
    from pathlib import Path

    from routing.settings import Settings

PATIENCE = 2.0
"""Seconds that rtpengine has to read the file: people have more time than a SIP worker."""
# The call is with the discard port (RFC 863), and over before more than a packet or two has gone there.
_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
_UNCHECKED = "whether it can be played will show in the first call; `handoff doctor` tells which rtpengine answers"


def check_playable(settings: Settings, path: Path) -> None:
    """Have each rtpengine node play the file; raises Failed when one cannot.

    A node that does not answer is warned about, and nothing is said about the file.
    """
    if not settings.rtpengine.nodes:
        click.echo(f"Warning: {path} was not tried, since no rtpengine is known; {_UNCHECKED}", err=True)
    for name, address in settings.rtpengine.nodes.items():
        try:
            _try(name, address, path)
        except CommandRefused as error:
            raise Failed(
                f"rtpengine node {name} cannot play {path} ({error.reason}): check that the file is on its machine, "
                "that its user may read it and all folders above it, and that it is 16-bit AIFF or WAV"
            ) from error
        except RtpengineError as error:
            click.echo(f"Warning: {path} was not tried: {error.text}; {_UNCHECKED}", err=True)


def _try(name: str, address: str, path: Path) -> None:
    client = Client(name, address, deadline=PATIENCE)
    call_id = f"check-{secrets.token_hex(8)}"
    try:
        client.request(Offer(call_id, "check", _SDP))
        try:
            client.request(PlayMedia(call_id, "check", str(path)))
        finally:
            with suppress(RtpengineError):  # it would end by itself
                client.request(Delete(call_id))
    finally:
        client.close()
