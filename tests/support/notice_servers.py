"""Slack, PagerDuty, Sentry and a mail server on this machine, which can be told to misbehave.

The web fakes check what they get against the published rules and answer as the real ones do: Slack in words,
PagerDuty with 202 and JSON.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import jsonschema
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support import notice_schemas

SLACK_PATH = "/services/T0123/B0123/a-secret-of-slack"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
DSN_KEY = "5e77a2b0c0ffee5e77a2b0c0ffee0000"


@dataclass(frozen=True, slots=True)
class Told:
    """What a fake is told to answer: a status, a body and headers; or to hang up, or to say nothing."""

    status: int = 200
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False
    hang: bool = False
    drip: bool = False


@dataclass(slots=True)
class Web:
    """The fakes behind one port; *told* are the next answers of a path, else it answers as it should."""

    port: int = 0
    slack: list[dict[str, Any]] = field(default_factory=list)
    pagerduty: list[dict[str, Any]] = field(default_factory=list)
    sentry: list[dict[str, Any]] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    asked: int = 0
    told: dict[str, deque[Told]] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def slack_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{SLACK_PATH}"

    @property
    def pagerduty_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2/enqueue"

    @property
    def dsn(self) -> str:
        return f"http://{DSN_KEY}@127.0.0.1:{self.port}/7"

    def tell(self, name: str, *answers: Told) -> None:
        """Answer the next requests to ``slack``, ``pagerduty`` or ``sentry`` so."""
        self.told.setdefault(name, deque()).extend(answers)


def _schema_error(value: object, schema: dict[str, Any]) -> str | None:
    validator = jsonschema.Draft202012Validator(schema)
    return next((f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)), None)


def _slack(web: Web, body: bytes) -> Told:
    payload = json.loads(body)
    wrong = _schema_error(payload, notice_schemas.SLACK)
    if wrong is not None:
        web.invalid.append(wrong)
        return Told(400, "invalid_blocks")
    web.slack.append(payload)
    return Told(200, "ok")


def _pagerduty(web: Web, body: bytes) -> Told:
    event = json.loads(body)
    wrong = _schema_error(event, notice_schemas.PAGERDUTY)
    if wrong is None and event["routing_key"] != ROUTING_KEY:
        wrong = "routing_key"
    if wrong is not None:
        web.invalid.append(wrong)
        answer = {"status": "invalid event", "message": "Event object is invalid", "errors": [wrong]}
        return Told(400, json.dumps(answer))
    web.pagerduty.append(event)
    answer = {"status": "success", "message": "Event processed", "dedup_key": event.get("dedup_key")}
    return Told(202, json.dumps(answer))


def _sentry(web: Web, body: bytes) -> Told:
    from sentry_sdk.envelope import Envelope as SentryEnvelope  # noqa: PLC0415 - for those who test it

    envelope = SentryEnvelope.deserialize(body)
    event = envelope.get_event()
    if event is not None:  # else a check-in or a trace, which are others' to test
        web.sentry.append(cast("dict[str, Any]", event))
    return Told(200, "{}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        web.asked += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        name = {SLACK_PATH: "slack", "/v2/enqueue": "pagerduty", "/api/7/envelope/": "sentry"}.get(self.path)
        queued = web.told.get(name or "")
        if queued:
            answer = queued.popleft()
        elif name is None:
            answer = Told(404, "no_service")
        elif name == "sentry" and f"sentry_key={DSN_KEY}" not in self.headers.get("x-sentry-auth", ""):
            answer = Told(401, '{"detail":"bad sentry key"}')
        else:
            answer = {"slack": _slack, "pagerduty": _pagerduty, "sentry": _sentry}[name](web, body)
        self._answer(answer, web.released)

    def _answer(self, answer: Told, released: threading.Event) -> None:
        if answer.hang:
            released.wait(30)
        if answer.hang or answer.close:
            self.close_connection = True
            return
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("content-length", str(10_000 if answer.drip else len(body)))
        self.end_headers()
        if answer.drip:
            self.close_connection = True
            with contextlib.suppress(OSError):
                while not released.wait(0.02):
                    self.wfile.write(b".")
                    self.wfile.flush()
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        pass


@contextlib.contextmanager
def fake_web() -> Iterator[Web]:
    """Serve the fakes."""
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.web = web  # type: ignore[attr-defined]
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake web")
    thread.start()
    try:
        yield web
    finally:
        web.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(slots=True)
class Mails:
    """A mail server; *answers* are its next replies to the given commands, such as ``("RCPT", "550 no")``."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    answers: dict[str, deque[str]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)

    def tell(self, command: str, *answers: str) -> None:
        """Answer the next commands of this kind so."""
        self.answers.setdefault(command, deque()).extend(answers)

    def _next(self, command: str) -> str | None:
        queued = self.answers.get(command)
        return queued.popleft() if queued else None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        _ = server, session, options
        told = self._next("RCPT")
        if told is not None:
            return told
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - likewise
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        _ = server
        told = self._next("DATA")
        if told is not None:
            return told
        assert isinstance(envelope.content, bytes)
        self.received.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.append(list(envelope.rcpt_tos))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        """Let those in who are among *users*."""
        _ = server, session, envelope, mechanism
        assert isinstance(given, LoginPassword)
        known = self.users.get(given.login.decode())
        right = known is not None and known.encode() == given.password
        return AuthResult(success=right, handled=False)


class _Controller(Controller):
    """Listens on a port that nobody has yet."""

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        return self.loop.create_server(self._factory_invoker, sock=listener)


@contextlib.contextmanager
def fake_mail(tls: ssl.SSLContext | None = None, users: dict[str, str] | None = None) -> Iterator[Mails]:
    """Serve mail; with *tls*, STARTTLS is demanded; with *users*, a login is."""
    mails = Mails(users=users or {})
    controller = _Controller(
        mails,
        hostname="127.0.0.1",
        tls_context=tls,
        require_starttls=tls is not None,
        authenticator=mails.authenticate if users else None,
        auth_required=bool(users),
    )
    controller.start()
    try:
        mails.port = controller.port
        yield mails
    finally:
        controller.stop()
