"""Message types of a recording: its own definitions first, those of ROS 2 Jazzy otherwise."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from spatial_rag_core.errors import BagError

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import get_types_from_idl, get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

_IDL_SEPARATOR = '=' * 80 + '\n'


class BagTypes:
    """Deserialises the messages of a recording; a type is compiled when it is first needed."""

    def __init__(self, connections: Collection[Connection]) -> None:
        self._definitions = {conn.msgtype: conn.msgdef for conn in connections
                             if conn.msgdef.format is not MessageDefinitionFormat.NONE}
        self._stores: dict[str, Typestore] = {}

    def decode(self, msgtype: str, data: bytes, topic: str) -> Any:
        """Deserialise CDR bytes; raises BagError for an unknown type or bytes that do not fit."""
        if msgtype not in self._stores:
            self._stores[msgtype] = self._compile(msgtype, topic)
        try:
            return self._stores[msgtype].deserialize_cdr(data, msgtype)
        except Exception as error:  # stray bytes make the library fail in any way
            raise BagError(f'a message on {topic} does not fit its type {msgtype} ({error}); '
                           'skip it, or record again') from error

    def _compile(self, msgtype: str, topic: str) -> Typestore:
        if msgtype in self._definitions:
            try:
                store = get_typestore(Stores.EMPTY)
                store.register(_parse(msgtype, self._definitions[msgtype]))
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
