"""The cache for anybody's own functions, plain ones and ``async def`` alike.

    @cached(cache, lifetime=Lifetime(timedelta(minutes=5)), tags=lambda user, *_: (f"user:{user}",))
    def history(user: str, limit: int = 10) -> list[Visit]: ...

    @invalidate_cache(cache, tags=lambda user, *_: (f"user:{user}",))
    def add_visit(user: str, visit: Visit) -> None: ...

A result is kept as MessagePack and read back as the type that the function's return annotation names, so
every call gets a value of its own.  None is a result like any other.  A result that would not come back equal
is given to its caller and not kept.

*cache* may be a function that returns the cache: it is called once, at the first use, so importing connects
to nothing.  The first use starts the cache; until the store is there, calls just run.
"""

import asyncio
import functools
import inspect
import logging
import threading
import types
import typing
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

import msgspec

from persona_system.cache.arguments import Arguments
from persona_system.cache.keys import tag_ids
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.once import NotKept, compute_once, compute_once_async
from persona_system.cache.two_tier import TwoTierCache
from persona_system.errors import InvalidInput

logger = logging.getLogger(__name__)

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")

SCOPE = "functions"  # of the counts: not_packable (results that were not kept), unreadable (kept ones)

Cache = TwoTierCache | Callable[[], TwoTierCache]
Tags = tuple[str, ...] | Callable[..., tuple[str, ...]]

_encode = msgspec.msgpack.Encoder().encode


class CachedFunction(Protocol[P, R_co]):
    """What ``cached`` makes of a function."""

    uncached: Callable[..., Any]  # the function itself
    tag: str  # of all its answers: ``cache.invalidate(function.tag)`` voids them
    key_of: Callable[..., bytes]  # the key of a call's answer, given the call's arguments

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the answer, from the cache if it is there."""

    @overload
    def __get__(self, instance: None, owner: type) -> "CachedFunction[P, R_co]": ...
    @overload
    def __get__(
        self: "CachedFunction[Concatenate[S, Q], R_co]", instance: S, owner: type
    ) -> Callable[Q, R_co]: ...


def cached(
    cache: Cache,
    *,
    lifetime: Lifetime,
    tags: Tags = (),
    key: Callable[..., object] | None = None,
    version: str = "1",
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
    """Keep a function's results, by its name, *version* and arguments.

    Raises InvalidInput at once for a function without a return annotation, or with one that MessagePack
    cannot give back; and at a call for arguments that cannot be part of a key.

    *key* and *tags* may be functions of the arguments.  *key* returns what the result depends on, made of
    values that MessagePack can hold; methods need one, since ``self`` is no such value.  Give another
    *version* when the function computes something else.
    """
    resource = _Resource(cache)
    _check(tags)

    def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
        arguments = Arguments(function, key, version)
        answers = _Answers(resource, arguments, _decoder(function), lifetime, tags)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                return await answers.get_async(function, args, kwargs)
        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return answers.get(function, args, kwargs)

        made = cast("CachedFunction[P, R]", wrapper)
        made.uncached, made.tag = function, answers.tag
        made.key_of = lambda *args, **kwargs: arguments.key(args, kwargs)
        return made

    return decorate


def invalidate_cache(cache: Cache, *, tags: Tags) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Invalidate *tags* each time that the function has returned; when it raises, nothing has changed.

    *tags* may be a function of the arguments.  While the store is away, nothing is served by the cache, and
    the invalidation is the first that it gets when it is back.
    """
    resource = _Resource(cache)
    _check(tags)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                names = _names(tags, args, kwargs)
                result = await function(*args, **kwargs)
                # what has been done is told even if the caller is cancelled now
                await asyncio.shield(asyncio.to_thread(resource.get().invalidate, *names))
                return result
        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                names = _names(tags, args, kwargs)
                result = function(*args, **kwargs)
                resource.get().invalidate(*names)
                return result

        return cast("Callable[P, R]", wrapper)

    return decorate


class _Answers:
    """One function's results in the cache."""

    def __init__(
        self,
        resource: "_Resource",
        arguments: Arguments,
        decoder: "msgspec.msgpack.Decoder[Any]",
        lifetime: Lifetime,
        tags: Tags,
    ) -> None:
        self._resource, self._arguments, self._lifetime, self._tags = resource, arguments, lifetime, tags
        self._decode = decoder.decode
        self._complained = False
        self.tag = f"function:{arguments.name}"

    def get(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        cache, key, tags, me = *self._place(args, kwargs), object()

        def compute() -> bytes:
            return self._packed(cache, function(*args, **kwargs), me)

        try:
            packed = compute_once(cache, key, compute, tags=tags, lifetime=self._lifetime)
        except _NotPackable as found:
            return found.value if found.maker is me else function(*args, **kwargs)
        try:
            return self._decode(packed)
        except msgspec.MsgspecError:
            self._unreadable(cache, key)
            return function(*args, **kwargs)

    async def get_async(
        self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        cache, key, tags, me = *self._place(args, kwargs), object()

        async def compute() -> bytes:
            return self._packed(cache, await function(*args, **kwargs), me)

        try:
            packed = await compute_once_async(cache, key, compute, tags=tags, lifetime=self._lifetime)
        except _NotPackable as found:
            return found.value if found.maker is me else await function(*args, **kwargs)
        try:
            return self._decode(packed)
        except msgspec.MsgspecError:
            await asyncio.to_thread(self._unreadable, cache, key)
            return await function(*args, **kwargs)

    def _place(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[TwoTierCache, bytes, tuple[bytes, ...]]:
        key = self._arguments.key(args, kwargs)
        return self._resource.get(), key, tag_ids((*_names(self._tags, args, kwargs), self.tag))

    def _packed(self, cache: TwoTierCache, value: Any, maker: object) -> bytes:
        try:
            packed = _encode(value)
            same = bool(self._decode(packed) == value)
        except Exception:  # noqa: BLE001 - of a type we know nothing about, comparison included
            same = False
        if same:
            return packed
        cache.counters.add(SCOPE, not_packable=1)
        if not self._complained:
            self._complained = True
            logger.warning(
                "a result of %s is not kept: a %s does not come back from MessagePack as it was",
                self._arguments.name,
                type(value).__name__,
            )
        raise _NotPackable(value, maker)

    def _unreadable(self, cache: TwoTierCache, key: bytes) -> None:
        """Drop what the function's annotation, changed without a new version, cannot read."""
        cache.counters.add(SCOPE, unreadable=1)
        cache.discard(key)


class _NotPackable(NotKept):
    """A result that only its *maker*'s caller gets: others would share an object that was not made for it."""

    def __init__(self, value: object, maker: object) -> None:
        super().__init__("not packable")
        self.value, self.maker = value, maker


class _Resource:
    """The cache, got when it is first needed, and started whenever it is not up."""

    def __init__(self, cache: Cache) -> None:
        self._source = cache
        self._cache = cache if isinstance(cache, TwoTierCache) else None
        self._lock = threading.Lock()

    def get(self) -> TwoTierCache:
        cache = self._cache
        if cache is None:
            with self._lock:
                if self._cache is None:
                    self._cache = cast("Callable[[], TwoTierCache]", self._source)()
                cache = self._cache
        if not cache.up:
            cache.start()
        return cache


def _decoder(function: Callable[..., Any]) -> "msgspec.msgpack.Decoder[Any]":
    """Return what reads the function's results back; raise InvalidInput when nothing can."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidInput("return annotation", "is that of a generator", "return a list")
    annotations = inspect.get_annotations(function)
    if "return" not in annotations:
        raise InvalidInput("return annotation", "is missing", "annotate what the function returns")
    only = types.SimpleNamespace(__annotations__={"return": annotations["return"]})
    try:
        returned = typing.get_type_hints(only, function.__globals__, include_extras=True)["return"]
    except (NameError, TypeError) as error:
        raise InvalidInput(
            "return annotation", f"cannot be resolved ({type(error).__name__})", "name types of the module"
        ) from None
    try:
        msgspec.json.schema(returned)  # the check that looks into every type that is named
        return msgspec.msgpack.Decoder(returned)
    except Exception as error:  # noqa: BLE001 - whatever msgspec, or the type's own code, makes of it
        raise InvalidInput(
            "return annotation",
            f"names a type that MessagePack cannot give back ({type(error).__name__})",
            "return JSON-like values, dataclasses or msgspec structs",
        ) from None


def _check(tags: object) -> None:
    if not callable(tags) and not (isinstance(tags, tuple) and all(isinstance(tag, str) for tag in tags)):
        raise InvalidInput("tags", "are not a tuple of strings", 'give them like ("user:1",)')


def _names(tags: Tags, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    if not callable(tags):
        return tags
    names = tags(*args, **kwargs)
    _check(names)
    return names
