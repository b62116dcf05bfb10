"""Opens a recording with the `rosbags` library, and works around what that cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader

_KNOWN_ONLY = """
CREATE TEMP VIEW message_definitions AS
SELECT * FROM main.message_definitions WHERE encoding IN ('ros2msg', 'ros2idl')
"""


@contextmanager
def open_reader(path: Path) -> Iterator[Reader | Ros1Reader]:
    """Open a recording, closed at the end of the block; raises whatever the library raises."""
    reader: Reader | Ros1Reader
    with _only_known_definitions():
        reader = Ros1Reader(path) if path.suffix == '.bag' else Reader(path)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def _only_known_definitions() -> Iterator[None]:
    """
    Hide the definitions without text of a .db3 file.

    rosbag2 stores an empty one, of encoding '' or 'unknown', for a type that the recorder does
    not know; rosbags 0.11 refuses the whole file for it.
    """
    apsw.connection_hooks.append(_hide_unknown)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(_hide_unknown)


def _hide_unknown(database: apsw.Connection) -> None:
    if database.table_exists('main', 'message_definitions'):
        database.execute(_KNOWN_ONLY)
