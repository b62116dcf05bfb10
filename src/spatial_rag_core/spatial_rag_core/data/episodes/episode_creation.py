"""Making a file of episodes, and holding it for writing."""

from __future__ import annotations

from collections.abc import Mapping
import fcntl
import io
import os
from pathlib import Path

from spatial_rag_core.data.episodes.episode import SPLITS
from spatial_rag_core.data.episodes.episode_errors import writing_errors
from spatial_rag_core.data.episodes.episode_layout import FORMAT_VERSION, LIBVER, set_text
from spatial_rag_core.data.episodes.transaction_file import sync_folder_of, write_durably
from spatial_rag_core.memory.file.connection import make_folders

import h5py

_NAME_TYPE = 'S24'


def create_file(path: Path, texts: Mapping[str, str]) -> None:
    """Make a file without episodes, its owner's alone; it appears under its name whole."""
    buffer = io.BytesIO()
    with h5py.File(buffer, 'w', libver=LIBVER) as file:
        data = file.create_group('data')
        data.attrs.update({'format_version': FORMAT_VERSION, 'total': 0})
        for name, text in texts.items():
            set_text(data, name, text)
        for split in SPLITS:
            file.create_dataset(f'mask/{split}', (0,), _NAME_TYPE, maxshape=(None,), chunks=(64,),
                                compression='gzip', compression_opts=1)
    with writing_errors(path):
        real = path.resolve()
        make_folders(real.parent)
        beside = real.with_name(f'{real.name}.{os.getpid()}.new')
        write_durably(beside, buffer.getvalue())
        beside.rename(real)
        sync_folder_of(real)


def locked_descriptor(path: Path) -> int:
    """Open and lock a file for writing; raises OSError, BlockingIOError where it is in use."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != path.stat().st_ino:  # another was put in its place
            raise BlockingIOError
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
