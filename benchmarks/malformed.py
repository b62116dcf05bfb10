"""Messages as nobody should send them: any type, from a sample of what is sent, or of nothing."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
import copy
from importlib import import_module
import math
import random
from typing import Any, TypeVar

import numpy as np
from rclpy.serialization import serialize_message
from rosidl_parser.definition import (
    AbstractNestedType,
    AbstractString,
    AbstractWString,
    Array,
    BasicType,
    NamespacedType,
)

Message = TypeVar('Message')

FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-300, 1e38, -1e38, 1e300, math.nan, math.inf, -math.inf)
TEXTS = ('', ' ', 'map', 'rgb8', 'mono8', '16UC1', '32FC1', 'bgra16', 'yuv422', 'bayer_rggb8',
         'jpeg', 'png', '..', './../x', "'; DROP TABLE memories; --", '%s%n', '\n\x1b[31m',
         '\x7f', 'ünïcödé 🤖', 'x' * 70_000)
LENGTHS = (0, 1, 2, 7, 31, 32, 33, 64, 1000)
LONG, LONG_CHANCE = 100_000, 0.03
"""
Now and then a sequence is so long [bytes]: not too seldom, for the middleware keeps for each
message of a queue as much room as the longest so far took, and that is no leak.
"""
ENCAPSULATION = 4
"""Bytes before the fields of a serialized message (CDR, XTypes 7.4)."""
LONGEST = bytes((0, 1, 0, 0)) + bytes(LONG)
"""Serialized: nothing but zeros."""
LIES = (b'\xff\xff\xff\xff', b'\xff\xff\xff\x7f', b'\x00\x00\x00\x10', b'\x00\x00\x00\x00')
"""Lengths of what does not follow."""


def message_type(module: str, name: str) -> Any:
    """message_type('sensor_msgs.msg', 'Image'); also of services."""
    return getattr(import_module(module), name)


class Malformer:
    """Draws malformed messages; chance decides which, so that a seed repeats them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def bytes_of(self, sample: bytes) -> bytes:
        """Serialized, but cut, lengthened, overwritten, or nothing of the kind."""
        chance, body = self._chance, bytearray(sample)
        end = len(body)
        match chance.randrange(5):
            case 0:
                return bytes(body[:chance.randrange(ENCAPSULATION, end + 1)])
            case 1:
                return bytes(body) + chance.randbytes(chance.choice(LENGTHS))
            case 2:
                return bytes(body[:ENCAPSULATION]) + chance.randbytes(chance.choice(LENGTHS))
            case 3:
                for _ in range(chance.randint(1, 8)):
                    body[chance.randrange(end)] = chance.randrange(256)
            case _:
                at = chance.randrange(ENCAPSULATION, max(ENCAPSULATION + 1, end - 4))
                body[at:at + 4] = chance.choice(LIES)
        return bytes(body)

    def message_of(self, sample: Message) -> Message:
        """A copy in which some fields, or nearly all, are what they should not be."""
        message = copy.deepcopy(sample)
        self._spoil(message, self._chance.choice((0.05, 0.2, 0.8)))
        return message

    def serialized(self, samples: Sequence[Any]) -> bytes:
        """One of them as above; one time in three its bytes are spoilt, too."""
        message = serialize_message(self.message_of(self._chance.choice(samples)))
        return self.bytes_of(message) if self._chance.random() < 1 / 3 else message

    def _spoil(self, message: Any, share: float) -> None:
        for name, kind in zip(message.get_fields_and_field_types(), message.SLOT_TYPES,
                              strict=True):
            if isinstance(kind, NamespacedType):
                self._spoil(getattr(message, name), share)
            elif self._chance.random() < share:
                setattr(message, name, self._value(kind, getattr(message, name)))

    def _value(self, kind: Any, old: Any) -> Any:
        if isinstance(kind, AbstractNestedType):
            return self._sequence(kind, old)
        if isinstance(kind, BasicType):
            return self._number(kind.typename)
        assert isinstance(kind, AbstractString | AbstractWString)
        return self._chance.choice(TEXTS)

    def _sequence(self, kind: Any, old: Any) -> Any:
        """A fixed array keeps its size, for the message cannot hold another."""
        fixed = kind.size if isinstance(kind, Array) else None
        element = kind.value_type
        if isinstance(element, NamespacedType):
            return self._messages(element, old, fixed)
        count = fixed or self._chance.choice(LENGTHS)
        if isinstance(element, BasicType) and isinstance(old, array | np.ndarray):
            return self._numbers(element.typename, old, count, fixed is not None)
        return [self._value(element, None) for _ in range(min(count, fixed or 20))]

    def _messages(self, kind: NamespacedType, old: Sequence[Any], fixed: int | None) -> list[Any]:
        if fixed is not None:
            return list(old)
        samples = old or [message_type('.'.join(kind.namespaces), kind.name)()]
        return [self.message_of(self._chance.choice(samples))
                for _ in range(self._chance.choice((0, 1, 3, 20)))]

    def _numbers(self, typename: str, old: Any, count: int, is_fixed: bool) -> Any:
        """Mostly noise; or what was there, with a few numbers spoilt."""
        if is_fixed or (len(old) and self._chance.random() < 0.5):
            values = copy.copy(old)
            for _ in range(self._chance.randint(1, 4)):
                if len(values):
                    values[self._chance.randrange(len(values))] = self._number(typename)
            return values
        if self._chance.random() < LONG_CHANCE:
            count = LONG // old.itemsize
        return array(old.typecode, self._chance.randbytes(count * old.itemsize))

    def _number(self, typename: str) -> Any:
        chance = self._chance
        if typename == 'boolean':
            return chance.random() < 0.5
        if typename == 'octet':
            return bytes([chance.randrange(256)])
        if typename in ('float', 'double'):
            value = chance.choice((*FLOATS, chance.gauss(0.0, 1.0), chance.gauss(0.0, 1e6)))
            return value if typename == 'double' or not math.isfinite(value) else float(
                np.clip(value, -3e38, 3e38))
        low, high = _range(typename)
        return chance.choice((low, high, 0, 1, chance.randint(low, high),
                              max(low, min(high, chance.randint(-100, 100)))))


def _range(typename: str) -> tuple[int, int]:
    bits = int(''.join(filter(str.isdigit, typename)) or 8)
    return (0, 2**bits - 1) if typename.startswith('u') or typename == 'char' else (
        -2**(bits - 1), 2**(bits - 1) - 1)
