"""Message types of a recording: its own definitions first, those of ROS 2 Jazzy otherwise."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from spatial_rag_core.errors import BagError

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import get_types_from_idl, get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

_OF_ROS2 = ('std_msgs/msg/Header', 'builtin_interfaces/msg/Time',
            'builtin_interfaces/msg/Duration')
_IDL_SEPARATOR = '=' * 80 + '\n'


class BagTypes:
    """
    Deserialises the messages of a recording; a type is compiled when it is first needed.

    is_ros1: whether the definitions are those of ROS 1, whose Header has a field more.
    """

    def __init__(self, connections: Collection[Connection], is_ros1: bool = False) -> None:
        self._is_ros1 = is_ros1
        self._definitions = {conn.msgtype: conn.msgdef for conn in connections
                             if conn.msgdef.format is not MessageDefinitionFormat.NONE}
        self._stores: dict[str, Typestore] = {}

    def decode(self, msgtype: str, data: bytes, topic: str) -> Any:
        """Deserialise CDR bytes; raises BagError for an unknown type or bytes that do not fit."""
        store = self._store(msgtype, topic)
        try:
            return store.deserialize_cdr(data, msgtype)
        except Exception as error:  # stray bytes make the library fail in any way
            raise BagError(f'a message on {topic} does not fit its type {msgtype} ({error}); '
                           'skip it, or record again') from error

    def cdr_of_ros1(self, msgtype: str, data: bytes, topic: str) -> bytes:
        """Return a message of ROS 1 as ROS 2 would have written it; raises as `decode` does."""
        store = self._store(msgtype, topic)
        try:
            return bytes(store.ros1_to_cdr(data, msgtype))
        except Exception as error:
            raise BagError(f'a message on {topic} does not fit its type {msgtype} ({error}); '
                           'record again') from error

    def _store(self, msgtype: str, topic: str) -> Typestore:
        if msgtype not in self._stores:
            self._stores[msgtype] = self._compile(msgtype, topic)
        return self._stores[msgtype]

    def _compile(self, msgtype: str, topic: str) -> Typestore:
        if msgtype in self._definitions:
            try:
                store = get_typestore(Stores.EMPTY)
                types = _parse(msgtype, self._definitions[msgtype])
                if self._is_ros1:
                    types.update({name: _jazzy().fielddefs[name] for name in _OF_ROS2})
                store.register(types)
            except Exception as error:  # the text comes from the recording
                raise BagError(f'the definition of {msgtype} (topic {topic}) in the recording '
                               f'cannot be read ({error}); record again') from error
        else:
            store = _jazzy()
        if msgtype not in store.fielddefs:
            raise BagError(f'topic {topic} has the type {msgtype}, whose definition is neither '
                           'in the recording nor in ROS 2 Jazzy; record it as MCAP')
        return store


@lru_cache(maxsize=1)
def _jazzy() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)


def _parse(msgtype: str, definition: MessageDefinition) -> dict[str, Any]:
    if definition.format is MessageDefinitionFormat.MSG:
        return dict(get_types_from_msg(definition.data, msgtype))
    types: dict[str, Any] = {}
    for part in definition.data.split(_IDL_SEPARATOR):
        heading, _, body = part.partition('\n')
        text = body if heading.startswith('IDL: ') else part
        if text.strip():
            types.update(get_types_from_idl(text))
    return types
