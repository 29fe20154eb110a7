"""A call's arguments as a key: what is equal for the function has one key, what is not has another."""

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from persona_system.cache.keys import request_id, version_id
from persona_system.errors import InvalidInput, shorten

_SAFE = frozenset({type(None), bool, float, bytes})  # always packable
_PLAIN = _SAFE | {int, str}

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Arguments:
    """How one function's calls become keys: by its name, version and bound arguments, or by *key*."""

    def __init__(self, function: Callable[..., Any], key: Callable[..., object] | None, version: str) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        self._key, self._version = key, version
        first = next(iter(self._signature.parameters), "")
        if key is None and first in {"self", "cls"}:
            raise InvalidInput(
                "key", f"would hold {first}, an object", "give key=, a function of the arguments"
            )

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Return the key of a call; raise InvalidInput for arguments that MessagePack cannot hold.

        A call that does not fit the function's signature raises TypeError, as the function would.
        """
        bound = self._signature.bind(*args, **kwargs)
        if self._key is not None:
            depends_on = {"key": self._key(*args, **kwargs)}
        else:
            bound.apply_defaults()
            depends_on = dict(bound.arguments)
        version = version_id(f"{self.name} {self._version}")
        for name, value in depends_on.items():
            depends_on[name] = _part(name, value)
        return version + request_id("call", self.name, self._version, list(depends_on.items()))


def _part(name: str, value: object) -> object:
    """Return *value* as a part of a key; raise InvalidInput that names the argument."""
    try:
        part = distinct(value)
        if type(value) not in _SAFE:
            _encode(part)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            f"argument {shorten(name)}",
            f"cannot be part of a key ({type(error).__name__})",
            "pass JSON-like values, or give key=, a function of the arguments",
        ) from None
    return part


def distinct(value: Any) -> object:
    """Return *value* for MessagePack, with its type where packing alone would lose it.

    So the text "1" and Decimal("1"), or a list and a tuple, are told apart.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [distinct(item) for item in value]
    if kind is dict:
        return {key: distinct(item) for key, item in value.items()}
    inner = (
        [distinct(item) for item in value]
        if kind is tuple
        else msgspec.to_builtins(value, builtin_types=(bytes,), order="deterministic")
    )
    name = f"{kind.__module__}.{kind.__qualname__}".encode()
    return msgspec.msgpack.Ext(1, name + b"\0" + _encode(inner))  # which no plain value looks like
