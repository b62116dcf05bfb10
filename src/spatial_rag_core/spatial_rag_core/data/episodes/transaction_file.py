"""A file that changes in whole steps: a process that is killed leaves it before or after one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import struct
from typing import Any
import zlib

from spatial_rag_core.memory.file.private_file import private_file

_MAGIC = b'SRAGREDO'
_HEAD = struct.Struct('<8sQQI')  # magic, size of the file afterwards, entries, CRC of the rest
_ENTRY = struct.Struct('<QI')  # offset, length
_PAGE_BYTES = 4096


class TransactionFile:
    """
    A file object over a descriptor, as h5py takes it.

    What is written beyond the end goes to the disk at once; what changes older bytes waits in
    memory for `commit`, which notes it in `<path>.commit` first. Without a commit the file stays
    as it was, but for bytes behind its end that nobody refers to.
    failure: why the disk refused; HDF5 does not hear of it, since it could not close the file
    then, but `commit` raises it.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._old_size = self._size = os.fstat(descriptor).st_size
        self._pages: dict[int, bytearray] = {}
        self._at = 0
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset, as io does."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Return the present offset."""
        return self._at

    def flush(self) -> None:
        """Do nothing: `commit` does."""

    def truncate(self, size: int | None = None) -> int:
        """Set the size that the file has after the commit."""
        self._size = self._at if size is None else size
        return self._size

    def read(self, size: int) -> bytes:
        """Return the next bytes that the file will hold; h5py knows a file object by it."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what the file will hold."""
        view = memoryview(buffer).cast('B')
        data = os.pread(self._descriptor, len(view), self._at)
        view[:len(data)] = data
        view[len(data):] = bytes(len(view) - len(data))
        for start, page in self._pages_in(self._at, len(view)):
            first, last = max(start, self._at), min(start + len(page), self._at + len(view))
            view[first - self._at:last - self._at] = page[first - start:last - start]
        self._at += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write at the present offset."""
        view = memoryview(data).cast('B')
        old = max(0, min(len(view), self._old_size - self._at))
        self._change(view[:old])
        if self.failure is None:
            try:
                _write_all(self._descriptor, view[old:], self._at + old)
            except OSError as error:
                self.failure = error
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def commit(self) -> None:
        """Make all that was written part of the file, or nothing; raises OSError."""
        if self.failure is not None:
            raise self.failure
        os.fsync(self._descriptor)
        log = _log_of(self._size, self._pages)
        write_durably(_log_path(self._path), log)
        _apply(self._descriptor, log)
        self._pages.clear()
        self._old_size = self._size  # from here on nothing is to be given back
        _drop_log(self._path)

    def discard(self) -> None:
        """Give the space back that was taken since the last commit."""
        if not has_unfinished_commit(self._path):
            os.ftruncate(self._descriptor, self._old_size)

    def _pages_in(self, offset: int, length: int) -> list[tuple[int, bytearray]]:
        numbers = range(offset // _PAGE_BYTES, -(-(offset + length) // _PAGE_BYTES))
        return [(number * _PAGE_BYTES, self._pages[number])
                for number in numbers if number in self._pages]

    def _change(self, view: memoryview) -> None:
        """Write older bytes, at the present offset, to pages in memory."""
        at, end = self._at, self._at + len(view)
        while at < end:
            number, start = at // _PAGE_BYTES, at % _PAGE_BYTES
            if number not in self._pages:
                length = min(_PAGE_BYTES, self._old_size - number * _PAGE_BYTES)
                self._pages[number] = bytearray(
                    os.pread(self._descriptor, length, number * _PAGE_BYTES))
            length = min(end - at, _PAGE_BYTES - start)
            self._pages[number][start:start + length] = view[at - self._at:at - self._at + length]
            at += length


def finish_commit(descriptor: int, path: Path) -> None:
    """Do what a killed process noted and did not finish; the caller holds the lock."""
    try:
        log = _log_path(path).read_bytes()
    except FileNotFoundError:
        return
    if _is_whole(log):
        _apply(descriptor, log)
    _drop_log(path)


def has_unfinished_commit(path: Path) -> bool:
    """Tell whether a process is in a commit just now, or was killed in it."""
    return _log_path(path).exists()


def write_durably(path: Path, content: bytes) -> None:
    """
    Write a small file, its owner's alone, that outlasts a power cut.

    Raises OSError and leaves none behind.
    """
    try:
        with private_file(path) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder_of(path)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def sync_folder_of(path: Path) -> None:
    """Make a new name of a file outlast a power cut."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _log_path(path: Path) -> Path:
    real = path.resolve()
    return real.with_name(real.name + '.commit')


def _drop_log(path: Path) -> None:
    _log_path(path).unlink()
    sync_folder_of(path)


def _log_of(size: int, pages: dict[int, bytearray]) -> bytes:
    rest = b''.join(_ENTRY.pack(number * _PAGE_BYTES, len(page)) + page
                    for number, page in sorted(pages.items()))
    return _HEAD.pack(_MAGIC, size, len(pages), zlib.crc32(rest)) + rest


def _is_whole(log: bytes) -> bool:
    if len(log) < _HEAD.size:
        return False
    magic, _, _, crc = _HEAD.unpack_from(log)
    return bool(magic == _MAGIC and crc == zlib.crc32(log[_HEAD.size:]))


def _apply(descriptor: int, log: bytes) -> None:
    _, size, count, _ = _HEAD.unpack_from(log)
    at = _HEAD.size
    for _ in range(count):
        offset, length = _ENTRY.unpack_from(log, at)
        at += _ENTRY.size
        _write_all(descriptor, memoryview(log)[at:at + length], offset)
        at += length
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)


def _write_all(descriptor: int, view: memoryview, offset: int) -> None:
    while len(view):
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
