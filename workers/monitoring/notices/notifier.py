"""Sends what is due in the outbox: each channel in a thread of its own, so that none waits for another.

What could not be sent is due again later, after a pause that grows; what never can be is noted as failed.
Nothing here raises for a channel's sake: trouble is logged when it begins and when it ends, counted, and
shown by ``ion alerts channels``.

Units:   seconds since the Unix epoch; milliseconds in the outbox.
Errors:  StoreError from ``deliver``.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from workers.monitoring.alerts.alert import Alert, Notice, short_id
from workers.monitoring.metrics import NOTICES
from workers.monitoring.notices import escalation, trying
from workers.monitoring.notices.channels.channel import Channel
from workers.monitoring.notices.channels.errors import Away, ChannelError, Refused
from workers.monitoring.notices.outbox import Ended, Outbox, Waiting
from workers.monitoring.notices.routing import channels_of, for_channel
from workers.monitoring.notices.trying import Due, Plan
from workers.monitoring.recorder import NullRecorder, Recorder
from workers.store.errors import StoreError

logger = logging.getLogger(__name__)

MOST = 1_000  # deliveries taken at once
LEASE_S = 120  # after which others take up what was taken: longer than a lane works on what it took
LANE_S = 60.0  # a lane begins nothing new after so long
PATIENCE_S = 2.0  # ``deliver`` waits so long for what it began, then leaves it to its thread

_notice = msgspec.msgpack.Decoder(Notice).decode
pack = msgspec.msgpack.Encoder().encode  # a notice, for the outbox


class Tested(NamedTuple):
    """What became of a test notice to *channel*; *why* not, for people."""

    channel: str
    state: Literal["sent", "refused", "away", "unset"]
    why: str
    took_ms: float


@dataclass(slots=True)
class _Lane:
    """One channel's way out."""

    name: str
    channel: Channel
    thread: threading.Thread | None = None
    trouble: str = ""  # what is wrong with it now

    @property
    def busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


@dataclass(slots=True)
class ChannelNotifier:
    """The Notifier over *there*: the channels by their names, among them the log."""

    outbox: Outbox
    there: Mapping[str, Channel]
    give_up_s: float = 3_600.0
    recorder: Recorder = field(default_factory=NullRecorder)
    now_s: Callable[[], float] = time.time
    patience_s: float = PATIENCE_S
    _lanes: dict[str, _Lane] = field(init=False)
    _unsettled: list[Ended] = field(init=False, default_factory=list)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Make a lane for each channel."""
        self._lanes = {name: _Lane(name, channel) for name, channel in self.there.items()}

    def channels(self, notice: Notice) -> Sequence[str]:
        """Return the names of the channels that *notice* goes to."""
        return channels_of(notice, self.there)

    def overdue(self, alerts: Sequence[Alert], now_s: float) -> Sequence[Alert]:
        """Return those of the open *alerts* that nobody has taken on in time."""
        return escalation.overdue(alerts, now_s)

    def put(self, notice: Notice) -> None:
        """Put *notice* into the outbox for its channels, once however often."""
        self.outbox.put(notice.id, int(notice.at_s * 1000), pack(notice), self.channels(notice))

    def deliver(self) -> None:
        """Send what is due; return when that is done, or going on for ``patience_s``."""
        self._settle(())  # what could not be noted the last time would be sent twice
        now_ms = self._now_ms()
        taken = self.outbox.claim(now_ms, now_ms + LEASE_S * 1000, MOST)
        if not taken:
            return
        sent = self.outbox.sent(now_ms - trying.WINDOW_S * 1000)
        begun = [
            thread
            for name in dict.fromkeys(waiting.channel for waiting in taken)
            if (thread := self._begin(name, [one for one in taken if one.channel == name], sent.get(name, 0)))
        ]
        deadline = time.monotonic() + self.patience_s
        for thread in begun:
            thread.join(max(0.0, deadline - time.monotonic()))

    def test_channel(self, name: str) -> Tested:
        """Send a test notice to the channel *name*, now and once, past the outbox; raises nothing."""
        channel = self.there.get(name)
        if channel is None:
            return Tested(name, "unset", "is not configured", 0.0)
        now_s, begun = self.now_s(), time.monotonic()
        said = "this is what a notice looks like; nothing is wrong"
        notice = Notice(id=short_id("test", name, now_s), kind="test", at_s=now_s, said=said)
        error = self._send(_Lane(name, channel), notice)
        took_ms = (time.monotonic() - begun) * 1000
        if error is None:
            return Tested(name, "sent", "", took_ms)
        return Tested(name, "away" if isinstance(error, Away) else "refused", error.why, took_ms)

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Let what is being sent end, for a while; what does not is sent by another process."""
        deadline = time.monotonic() + patience_s
        for lane in self._lanes.values():
            if lane.thread is not None:
                lane.thread.join(max(0.0, deadline - time.monotonic()))

    def _begin(self, name: str, taken: Sequence[Waiting], sent: int) -> threading.Thread | None:
        """Start sending what was *taken* for the channel *name*, or note why not."""
        lane = self._lanes.get(name)
        if lane is None:
            error = Away("is not configured where rules are judged")
            self._settle([self._after(error, waiting) for waiting in taken])
            return None
        if lane.busy:
            self._settle([self._after(Away("is still sending"), waiting) for waiting in taken])
            return None
        due = list(self._readable(taken))
        arguments = (lane, trying.plan(name, due, sent))
        lane.thread = threading.Thread(target=self._run, args=arguments, name=f"to {name}", daemon=True)
        lane.thread.start()
        return lane.thread

    def _readable(self, taken: Iterable[Waiting]) -> Iterable[Due]:
        """Yield those whose notices can be read; the others were put in by a newer release."""
        for waiting in taken:
            try:
                yield Due(waiting, _notice(waiting.packed))
            except msgspec.MsgspecError:
                logger.warning("notice %s cannot be read here", waiting.notice_id)
                self._settle([self._after(Away("cannot be read here"), waiting)])

    def _run(self, lane: _Lane, plan: Plan) -> None:
        """Send what is planned; the first trouble of the channel ends that."""
        until = time.monotonic() + LANE_S
        messages: list[tuple[Notice, tuple[Due, ...]]] = [(one.notice, (one,)) for one in plan.single]
        if plan.together:
            summary = trying.summary_of([one.notice for one in plan.together], self.now_s())
            messages.append((summary, plan.together))
        away: Away | None = None
        for notice, stands_for in messages:
            if away is None and time.monotonic() > until:
                away = Away("more was due than could be sent in a minute")
            error = self._send(lane, notice) if away is None else away
            away = error if isinstance(error, Away) else away
            self._note(lane, error, stands_for)
        if plan.later:
            limit = f"at most {trying.LIMITS.get(lane.name, 0)} messages a minute"
            self._note(lane, away if away is not None else Away(limit), plan.later)

    def _send(self, lane: _Lane, notice: Notice) -> ChannelError | None:
        """Send *notice*, and tell of trouble with the channel when it begins and when it ends."""
        try:
            lane.channel.send(for_channel(notice, lane.name))
        except ChannelError as error:
            if not lane.trouble or (isinstance(error, Refused) and lane.trouble != error.why):
                logger.warning("alerts: %s did not take a notice: %s", lane.name, error.why)
            lane.trouble = error.why
            return error
        except Exception as error:  # whatever is wrong with one channel stays there
            why = f"internal error: {type(error).__name__}"
            if lane.trouble != why:
                logger.exception("alerts: %s could not send a notice", lane.name)
            lane.trouble = why
            return Refused(why)
        if lane.trouble:
            logger.info("alerts: %s takes notices again", lane.name)
            lane.trouble = ""
        return None

    def _note(self, lane: _Lane, error: ChannelError | None, stands_for: Sequence[Due]) -> None:
        now_ms = self._now_ms()
        if error is not None:
            ended = [self._after(error, one.waiting) for one in stands_for]
        else:
            ended = [
                Ended(one.waiting.notice_id, lane.name, "merged" if place else "sent", now_ms)
                for place, one in enumerate(stands_for)
            ]
        for end in ended:
            self.recorder.count(NOTICES, 1, (lane.name, end.state))
        try:
            self._settle(ended)
        except StoreError as missing:
            logger.warning("alerts: what became of notices to %s waits to be noted: %s", lane.name, missing)

    def _settle(self, ended: Sequence[Ended]) -> None:
        """Note what became of deliveries; what cannot be noted now is, the next time."""
        with self._lock:
            self._unsettled.extend(ended)
            if self._unsettled:
                self.outbox.settle(self._unsettled)
                self._unsettled.clear()

    def _after(self, error: ChannelError, waiting: Waiting) -> Ended:
        return trying.after(error, waiting, self._now_ms(), self.give_up_s, random.random())  # noqa: S311

    def _now_ms(self) -> int:
        return int(self.now_s() * 1000)
