"""The outermost layer, around an application that does as the test says."""

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.errors import Overloaded
from producers.gateway.call import Call
from producers.gateway.caller import ANONYMOUS, Caller
from producers.gateway.entry.edge import Edge
from producers.gateway.errors import NotReady, RateLimited, Unauthenticated
from producers.gateway.settings import GatewaySettings

WORDS = "what a person wrote"
KEY = (b"x-api-key", b"known")
Header = tuple[bytes, bytes]


class Guard:
    """Lets those in who have the key, and notes who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def admit(self, call: Call) -> Caller:
        self.asked.append(call.scope["path"])
        if call.header("x-api-key") != "known":
            raise Unauthenticated("send a key")
        return ANONYMOUS

    async def count(self, call: Call, jobs: int) -> None:
        raise AssertionError(call, jobs)


class Tally:
    """Keeps which responses were counted."""

    def __init__(self) -> None:
        self.begun = 0
        self.statuses: list[tuple[int, str | None]] = []

    def began(self) -> None:
        self.begun += 1

    def answered(self, call: Call, status: int) -> None:
        self.statuses.append((status, call.code))


@dataclass
class World:
    """An edge around *app*; ``ask`` sends one request through it."""

    app: ASGIApp
    settings: GatewaySettings = field(default_factory=GatewaySettings)
    guard: Guard = field(default_factory=Guard)
    tally: Tally = field(default_factory=Tally)
    sent: list[Message] = field(default_factory=list)

    def edge(self) -> Edge:
        return Edge(self.app, self.settings, self.guard, self.tally)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def ask(
        self, path: str = "/api/v2/status", headers: Iterable[Header] = (KEY,), method: str = "GET"
    ) -> "Answer":
        asyncio.run(self.edge()(scope_of(path, headers, method), silence, self.send))
        return self.answer()

    def answer(self) -> "Answer":
        start, *parts = self.sent
        assert start["type"] == "http.response.start"
        return Answer(start["status"], start["headers"], b"".join(part["body"] for part in parts))


@dataclass(frozen=True)
class Answer:
    """What came out."""

    status: int
    headers: list[Header]
    body: bytes

    def all_of(self, name: str) -> list[str]:
        return [value.decode() for known, value in self.headers if known == name.encode()]

    def header(self, name: str) -> str | None:
        values = self.all_of(name)
        assert len(values) < 2
        return values[0] if values else None

    def code(self) -> str:
        """Return the code of a refusal, having checked its form."""
        told = json.loads(self.body)
        assert told.keys() == {"success", "error", "request_id", "timestamp"}
        assert told["success"] is False
        assert told["request_id"] == self.header("x-request-id")
        code: str = told["error"]["code"]
        return code


def scope_of(path: str, headers: Iterable[Header] = (), method: str = "GET") -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
    }


async def silence() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"fine", headers={"cache-control": "max-age=9"})(scope, receive, send)


def raising(error: BaseException, *, after_start: bool = False) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    return app


def test_every_response_has_its_headers_and_an_endpoints_own_win() -> None:
    answer = World(fine).ask()
    assert (answer.status, answer.body) == (200, b"fine")
    assert answer.header("cache-control") == "max-age=9"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-api-version") == "2"
    assert len(answer.header("x-request-id") or "") == 32
    assert answer.header("strict-transport-security") is None
    assert not answer.all_of("vary")


def test_version_1_is_deprecated() -> None:
    answer = World(fine).ask("/api/persona/process")
    assert answer.header("x-api-version") == "1"
    assert answer.header("deprecation") == "@1767225600"
    assert answer.header("sunset") == "Fri, 31 Dec 2027 23:59:59 GMT"


def test_callers_may_bring_their_request_id() -> None:
    assert (
        World(fine).ask(headers=[KEY, (b"x-request-id", b"checkout-42")]).header("x-request-id")
        == "checkout-42"
    )


@pytest.mark.parametrize(
    "given",
    [b"", b" ", b"a b", b"a\r\nset-cookie: x=1", b"a\nb", b"a\0", "é".encode(), b"x" * 129],
    ids=["empty", "blank", "two words", "CRLF", "LF", "NUL", "not ASCII", "too long"],
)
def test_an_id_that_is_none_is_refused_and_not_returned(given: bytes) -> None:
    """Else it could end the header, and begin another one."""
    answer = World(fine).ask(headers=[KEY, (b"x-request-id", given)])
    assert (answer.status, answer.code()) == (400, "INVALID_INPUT")
    assert len(answer.header("x-request-id") or "") == 32


def test_two_ids_are_none() -> None:
    answer = World(fine).ask(headers=[KEY, (b"x-request-id", b"a"), (b"x-request-id", b"b")])
    assert answer.code() == "INVALID_INPUT"


@pytest.mark.parametrize(
    ("path", "version", "status"),
    [
        ("/api/v2/status", b"2", 200),
        ("/api/v2/status", b" V2 ", 200),
        ("/api/v2/status", b"1", 400),
        ("/api/v2/status", b"2, 2", 400),
        ("/api/persona/process", b"1", 200),
        ("/api/persona/process", b"2", 400),
        ("/elsewhere", b"9", 200),
    ],
)
def test_a_version_that_the_address_does_not_have_is_refused(path: str, version: bytes, status: int) -> None:
    assert World(fine).ask(path, [KEY, (b"x-api-version", version)]).status == status


def test_headers_are_bounded_and_the_address_with_them() -> None:
    """8 KiB: 8,192 bytes of names, values and the four between them, and of the address."""
    room = 8 * 1024 - len("/api/v2/status") - len(b"x-api-keyknown") - 4 - len(b"x-a") - 4
    assert World(fine).ask(headers=[KEY, (b"x-a", b"a" * room)]).status == 200
    answer = World(fine).ask(headers=[KEY, (b"x-a", b"a" * (room + 1))])
    assert (answer.status, answer.code()) == (431, "HEADERS_TOO_LARGE")
    assert World(fine).ask("/" + "a" * 8192).status == 431


def test_the_door_is_asked_for_everything_under_api_but_health() -> None:
    world = World(fine)
    assert world.ask("/api/v2/health", ()).status == 200
    assert world.guard.asked == []
    for path in ("/api/v2/status", "/api/persona/process", "/api/v2/health/", "/api/nothing"):
        answer = World(fine).ask(path, ())
        assert (answer.status, answer.code()) == (401, "UNAUTHENTICATED")


def test_an_error_of_ours_leaves_as_it_is_in_the_table(caplog: pytest.LogCaptureFixture) -> None:
    world = World(raising(Overloaded("it is full", 1.2)))
    answer = world.ask()
    assert (answer.status, answer.code(), answer.header("retry-after")) == (503, "OVERLOADED", "2")
    assert world.tally.statuses == [(503, "OVERLOADED")]
    assert caplog.text == ""


def test_a_bug_leaves_as_internal_and_is_logged_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the types and the place; what is in the errors may be a person's."""
    error = ValueError(WORDS)
    error.__cause__ = KeyError(WORDS)
    world = World(raising(error))
    with caplog.at_level(logging.DEBUG):
        answer = world.ask()
    assert (answer.status, answer.code()) == (500, "INTERNAL")
    assert world.tally.statuses == [(500, "INTERNAL")]
    assert "ValueError from KeyError at test_gateway_edge.py:" in caplog.text
    assert WORDS not in caplog.text + answer.body.decode()


def test_after_the_response_began_nothing_is_added_to_it(caplog: pytest.LogCaptureFixture) -> None:
    """The server hangs up on a response that is not complete, so that its caller sees that it is not."""
    world = World(raising(ValueError(WORDS), after_start=True))
    world.ask()
    assert [message["type"] for message in world.sent] == ["http.response.start"]
    assert "ValueError" in caplog.text
    assert WORDS not in caplog.text


def test_a_request_that_the_stopping_server_cancels_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        waiting = asyncio.Event()

        async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
            waiting.set()
            await receive()

        world.app = app
        request = asyncio.create_task(world.edge()(scope_of("/api/v2/status", [KEY]), silence, world.send))
        await waiting.wait()
        request.cancel()
        await request

    world = World(fine)
    asyncio.run(story())
    answer = world.answer()
    assert (answer.status, answer.code(), answer.header("retry-after")) == (503, "STOPPING", "1")
    assert world.tally.statuses == [(503, "STOPPING")]
    assert caplog.text == ""


@pytest.mark.parametrize("error", [RateLimited("x", 7), NotReady("x")], ids=["limited", "stopping"])
def test_what_the_door_raises_leaves_as_what_the_application_raises(error: Exception) -> None:
    class Closed(Guard):
        async def admit(self, call: Call) -> Caller:
            _ = call
            raise error

    answer = World(fine, guard=Closed()).ask()
    assert answer.status in (429, 503)
    assert answer.header("retry-after")


def test_a_meter_counts_each_request_once() -> None:
    world = World(fine)
    world.ask()
    assert (world.tally.begun, world.tally.statuses) == (1, [(200, None)])


@pytest.mark.parametrize("kind", ["websocket", "quic"])
def test_what_is_no_http_does_not_get_past_the_door(kind: str) -> None:
    with pytest.raises(NotImplementedError, match=kind):
        asyncio.run(World(fine).edge()({"type": kind, "path": "/", "headers": []}, silence, World(fine).send))


def test_lifespan_is_the_applications() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    world = World(app)
    asyncio.run(world.edge()({"type": "lifespan"}, silence, world.send))
    assert seen == ["lifespan"]


ALLOWED, OTHER = b"https://app.example", b"https://evil.example"


def web(app: ASGIApp = fine) -> World:
    return World(app, GatewaySettings(cors_origins=(ALLOWED.decode(),)))


def preflight(world: World, origin: bytes, method: bytes = b"POST") -> Answer:
    asked = [
        (b"origin", origin),
        (b"access-control-request-method", method),
        (b"access-control-request-headers", b"x-api-key"),
    ]
    return world.ask("/api/v2/process", asked, "OPTIONS")


def test_a_preflight_has_no_credentials_and_is_answered() -> None:
    world = web()
    answer = preflight(world, ALLOWED)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == ALLOWED.decode()
    assert answer.header("access-control-allow-methods") == "GET, POST"
    assert "X-API-Key" in (answer.header("access-control-allow-headers") or "").split(", ")
    assert answer.header("access-control-allow-credentials") is None
    assert answer.header("vary") == "Origin"
    assert world.guard.asked == []


@pytest.mark.parametrize(
    "origin",
    [OTHER, b"null", b"*", b"", ALLOWED + b".evil.example", b"http://app.example", ALLOWED + b":8443"],
)
def test_a_preflight_of_another_origin_is_a_request_like_any_other(origin: bytes) -> None:
    answer = preflight(web(), origin)
    assert answer.status == 401
    assert not [name for name, _ in answer.headers if name.startswith(b"access-control")]
    assert answer.header("vary") == "Origin"


def test_an_allowed_origin_may_read_answers_and_refusals() -> None:
    """Without the header, a browser would hide from the app that it is over its limit."""
    for world, status in (
        (web(), 200),
        (web(raising(RateLimited("x", 7))), 429),
        (web(raising(KeyError())), 500),
    ):
        answer = world.ask(headers=[KEY, (b"origin", ALLOWED)])
        assert answer.status == status
        assert answer.header("access-control-allow-origin") == ALLOWED.decode()
        assert "Retry-After" in (answer.header("access-control-expose-headers") or "")
    answer = web().ask(headers=[(b"origin", ALLOWED)])
    assert (answer.status, answer.header("access-control-allow-origin")) == (401, ALLOWED.decode())


def test_another_origin_may_not_and_caches_keep_them_apart() -> None:
    for headers in ([KEY, (b"origin", OTHER)], [KEY]):
        answer = web().ask(headers=headers)
        assert answer.status == 200
        assert answer.header("access-control-allow-origin") is None
        assert answer.header("vary") == "Origin"


def test_options_without_a_question_is_no_preflight() -> None:
    world = web()
    assert world.ask(headers=[(b"origin", ALLOWED)], method="OPTIONS").status == 401
    assert world.guard.asked == ["/api/v2/status"]
