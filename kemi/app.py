"""What Kamailio calls: one object per process, whose methods are the callbacks of `kemi.names.Callback`."""

from __future__ import annotations

import gc
import os
import traceback
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast

import KSR

from kemi.agents import note_agent
from kemi.answers import Answers
from kemi.asking import tell_reply
from kemi.calls import Calls
from kemi.certificates import check_peers
from kemi.context import Context
from kemi.credentials import CredentialFinder
from kemi.debugging import tell_step
from kemi.dialogs import BRIDGED, Dialogs
from kemi.drain import DRAINING, Drain
from kemi.engine import Engine
from kemi.hunting import Hunting
from kemi.legs import Legs
from kemi.media import CallMedia
from kemi.media_actions import MediaActions
from kemi.message import SipError, done, name_call, reply, text
from kemi.metrics import Metrics
from kemi.names import Callback
from kemi.outgoing import ALLOW, SUPPORTED, Outgoing
from kemi.performer import Performer
from kemi.places import Places, by_transport
from kemi.reaching import mend_response
from kemi.referrals import Referrals
from kemi.registrar import Registrar
from kemi.speech import Speech
from kemi.tick import Timer
from kemi.transfers import Transfers
from kemi.web import Doorkeeper
from routing.events import MediaLost, PartyLost
from routing.records import State, encode
from routing.settings import Settings
from routing.store import open_store
from rtpengine import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from routing.actions import Action
    from routing.events import Event
    from routing.records import Call

P = ParamSpec("P")


def mod_init() -> Handoff:
    """Make the object that Kamailio calls; called once, before the workers are forked."""
    handoff = Handoff()
    check_peers(handoff.settings.tls)
    # What is there now stays for ever: the collector need not look at it again, nor copy its pages in each worker.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return handoff


def _guarded(callback: Callable[Concatenate[Handoff, P], None]) -> Callable[Concatenate[Handoff, P], int]:
    """Let no exception reach Kamailio: it is logged with its trace, and a request is answered 500."""

    @wraps(callback)
    def guarded(self: Handoff, *args: P.args, **kwargs: P.kwargs) -> int:
        try:
            callback(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 - the last stop before C
            KSR.err(f"{callback.__name__}: {traceback.format_exc()}\n")
            if callback.__name__ == Callback.REQUEST and not KSR.is_ACK():
                reply(500, "Server Internal Error")
        return 1

    return cast("Callable[Concatenate[Handoff, P], int]", guarded)


class Handoff:
    """The callbacks."""

    def __init__(self) -> None:
        """Read the settings; connections are made by each worker for itself, when it first needs them."""
        path = Path(os.environ["HANDOFF_SETTINGS"])
        self.settings = settings = Settings.model_validate_json(path.read_bytes())
        self.metrics = Metrics()
        store = open_store(settings.redis.url or "", deadline=settings.redis.deadline, observer=self.metrics.redis)
        pool = Pool(settings.rtpengine.nodes, observer=self.metrics.rtpengine)
        media = CallMedia(pool, silence=settings.media.timeout)
        places = Places(_advertised(settings), by_transport(settings))
        outgoing = Outgoing(places, no_reply=settings.sip.no_reply_timeout, user_agent=settings.sip.user_agent)
        speech = Speech(settings, store)
        hunting = Hunting(settings.hunting, store)
        performer = Performer(outgoing, media, self.metrics, speech, hunting=hunting, store=store)
        media_actions = MediaActions(media, settings.speech)
        self._context = Context(
            settings=settings,
            store=store,
            pool=pool,
            media=media,
            outgoing=outgoing,
            performer=performer,
            engine=Engine(
                settings.node.id, store, media_actions, performer, self._observe, stages=settings.webhooks.stages
            ),
            transfers=Transfers(settings, store),
            hunting=hunting,
            credentials=CredentialFinder(settings, store),
            metrics=self.metrics,
            drain=Drain(path.with_name(DRAINING)),
        )
        performer.end_consultation = self._context.engine.end_consultation
        self._calls = Calls(self._context)
        self._answers = Answers(self._context)
        self._dialogs = Dialogs(self._context, self._answers)
        self._legs = Legs(self._context)
        self._referrals = Referrals(self._context)
        self._registrar = Registrar(self._context)
        self._timer = Timer(self._context)
        self._doorkeeper = Doorkeeper(settings)

    def child_init(self, rank: int) -> int:
        """Begin a worker; each connection is opened by the process that first uses it."""
        del rank
        return 0

    @_guarded
    def ksr_request_route(self, msg: object) -> None:
        """Handle a request from outside."""
        del msg
        method = KSR.kx.get_method() or ""
        self.metrics.request(method)
        try:
            self._route(method)
        except SipError as error:
            if method != "ACK":
                if method in {"INVITE", "REFER"}:
                    KSR.info(f"call={name_call()} refused={method} status={error.status} reason={error.text!r}\n")
                self.metrics.answer(error.status)
                reply(error.status, error.text, error.retry_after)

    def _route(self, method: str) -> None:
        if not done(KSR.maxfwd.process_maxfwd(70)):
            raise SipError(483, "Too Many Hops")
        KSR.force_rport()
        if method == "CANCEL":
            if done(KSR.tm.t_check_trans()):
                KSR.tm.t_relay()
        elif text("$tt"):
            self._dialogs.request(method)
        elif method == "INVITE":
            self._calls.invite()
        elif method == "ACK":
            KSR.tm.t_check_trans()
        elif method == "OPTIONS":
            self._context.drain.refuse()
            KSR.hdr.append_to_reply(f"Allow: {ALLOW}\r\nAccept: application/sdp\r\n{SUPPORTED}\r\n")
            reply(200, "OK")
        elif method == "REGISTER" and self._context.settings.users.domains:
            self._registrar.register()
        elif method == "REFER":
            raise SipError(403, "A REFER belongs in a call")
        else:
            KSR.hdr.append_to_reply(f"Allow: {ALLOW}\r\n")
            raise SipError(405, "Method Not Allowed")

    @_guarded
    def ksr_tm_event(self, msg: object, event: str) -> None:
        """Prepare a request of our own that tm is about to send."""
        del msg, event
        self._context.outgoing.hook()

    @_guarded
    def ksr_tick(self, msg: object, event: str) -> None:
        """Look after deadlines and commands."""
        del msg, event
        self._timer.tick()

    @_guarded
    def ksr_http_request(self, msg: object, event: str) -> None:
        """Handle a request by HTTP: that of a web page for a WebSocket."""
        del msg, event
        self._doorkeeper.request()

    @_guarded
    def ksr_call_reply(self, msg: object) -> None:
        """Handle an agent's response to a new call."""
        del msg
        self.metrics.reply(KSR.kx.get_status())
        self._calls.replied()

    @_guarded
    def ksr_call_failure(self, msg: object) -> None:
        """Handle the failure of a new call."""
        del msg
        self._calls.failed()

    @_guarded
    def ksr_leg_reply(self, msg: object) -> None:
        """Handle an endpoint's response to our INVITE."""
        del msg
        self.metrics.reply(KSR.kx.get_status())
        self._legs.replied()

    @_guarded
    def ksr_leg_failure(self, msg: object) -> None:
        """Handle an endpoint's refusal, or silence."""
        del msg
        self._legs.failed()

    @_guarded
    def ksr_dialog_reply(self, msg: object) -> None:
        """Handle the response to a request within a call that was relayed."""
        del msg
        self.metrics.reply(KSR.kx.get_status())
        self._answers.replied()

    @_guarded
    def ksr_dialog_failure(self, msg: object) -> None:
        """Handle the refusal of an offer within a call."""
        del msg
        self._answers.failed()

    @_guarded
    def ksr_refer_reply(self, msg: object) -> None:
        """Handle the acceptance of a REFER that was sent on."""
        del msg
        self.metrics.reply(KSR.kx.get_status())
        self._referrals.replied()

    @_guarded
    def ksr_refer_failure(self, msg: object) -> None:
        """Handle the refusal of a REFER that was sent on, or silence."""
        del msg
        self._referrals.failed()

    @_guarded
    def ksr_refresh_reply(self, msg: object) -> None:
        """Handle the response to our session refresh."""
        del msg
        self.metrics.reply(KSR.kx.get_status())

    @_guarded
    def ksr_refresh_failure(self, msg: object) -> None:
        """Handle the refusal of our session refresh: 481 and 408 mean that the caller is gone."""
        del msg
        self._answers.refresh_failed()

    @_guarded
    def ksr_probe_reply(self, msg: object) -> None:
        """Handle the reply of an endpoint that rests, or of a phone that somebody asks for."""
        del msg
        if not tell_reply(self._context.store):
            self._context.hunting.probed()

    @_guarded
    def ksr_agent_event(self, msg: object, event: str) -> None:
        """Log and note that an agent has stopped, or has begun, to answer OPTIONS."""
        del msg
        agent, up = text("$ru"), not event.endswith("down")
        note_agent(agent, up=up)
        KSR.warn(f"agent={agent} {'is up' if up else 'is down'}\n")

    @_guarded
    def ksr_reply_route(self, msg: object) -> None:
        """See a response before all others; only asked for where there are users."""
        del msg
        mend_response(self._context.settings)

    @_guarded
    def ksr_contact_expired(self, msg: object, event: str) -> None:
        """Note that a phone of a user is no longer registered."""
        del msg, event
        self._registrar.expired()

    def _observe(self, before: Call, event: Event, after: Call, actions: Sequence[Action]) -> None:
        """Log a transition once, note how endpoints fare, and keep a copy of a bridged call on this node."""
        tell_step(before, event, after, actions, all_calls=self.settings.log.level == "debug")
        self._context.hunting.observe(before, event, after)
        if after.transfer and after.transfer.fixed and not (before.transfer and before.transfer.fixed):
            self.metrics.fixed_message()
            KSR.warn(f"call={after.id} the speech was not there in time: the person hears the fixed message\n")
        if before.state is after.state:
            return
        line = f"call={after.id} event={type(event).__name__} from={before.state} to={after.state}"
        if isinstance(event, PartyLost):
            line += f" party={event.party}"
        if isinstance(event, PartyLost | MediaLost):
            line += f" reason={event.reason!r}"
        if len(after.history) > len(before.history):
            done_now = after.history[-1]
            line += (
                f" transfer={done_now.id} target={done_now.target} outcome={done_now.outcome} status={done_now.status}"
            )
        KSR.info(f"{line}\n")
        if after.state in {State.LEAVING, State.CONNECTED}:
            KSR.htable.sht_sets(BRIDGED, after.id, encode(after).decode())
        elif after.state is State.ENDED:
            KSR.htable.sht_rm(BRIDGED, after.id)


def _advertised(settings: Settings) -> str:
    """Find the host:port by which parties reach us: as configured, or the first place that we listen at."""
    return settings.sip.advertise or settings.sip.listen[0].partition(":")[2]
