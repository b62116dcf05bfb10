"""Which file of a recording to open, and what to tell a person when that fails."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.errors import BagError

_SUFFIXES = ('.mcap', '.db3')
_ALL_SUFFIXES = (*_SUFFIXES, '.bag')
_ROS1_MAGIC = b'#ROSBAG V2.0\n'
_MCAP_MAGIC = b'\x89MCAP0\r\n'
_SQLITE_MAGIC = b'SQLite format 3\x00'
_HEAD_BYTES = 100


def find_recording(path: Path) -> Path:
    """
    Return the folder or the file to open for a path that a person named.

    A folder without metadata.yaml stands for its only recording file.  Raises BagError for
    what can be told wrong without reading the recording.
    """
    if not path.exists():
        raise BagError(f'{path} does not exist; name a rosbag2 folder, or a .mcap, .db3 or .bag '
                       'file')
    if not path.is_dir():
        _check_file(path)
        return path
    files = [file for file in sorted(path.iterdir()) if file.suffix in _SUFFIXES]
    metadata = path / 'metadata.yaml'
    if metadata.exists():
        named = metadata.read_text(errors='replace')
        for file in files:
            if file.name in named:  # a broken file beside its recovered twin does not matter
                _check_file(file)
        return path
    files += sorted(path.glob('*.bag'))
    if len(files) == 1:
        _check_file(files[0])
        return files[0]
    raise _no_metadata(path, files)


def bag_error(path: Path, error: Exception) -> BagError:
    """Tell in one line what the library found wrong, and what helps."""
    reason = ' '.join(str(error).split()) or type(error).__name__
    if 'missing' in reason and 'database files' in reason:
        return BagError(f'{path}/metadata.yaml names a file that is not there ({reason}); put '
                        f'the file back, or run `ros2 bag reindex {path}`')
    if isinstance(error, PermissionError):
        return BagError(f'{path} cannot be read ({reason}); check its permissions')
    return BagError(f'{path} is damaged or not supported ({reason}); {_remedy(path)}')


def read_error(path: Path, count: int, reason: object) -> BagError:
    """Tell in one line why reading stopped after `count` messages, and what helps."""
    inside = path.iterdir() if path.is_dir() else ()
    files = [file for file in inside if file.suffix in _ALL_SUFFIXES]
    blamed = files[0] if len(files) == 1 else path
    text = ' '.join(str(reason).split()) or type(reason).__name__
    return BagError(f'{blamed} is damaged: reading stopped after {count} messages ({text}); '
                    + _remedy(blamed))


def _check_file(file: Path) -> None:
    try:
        size = file.stat().st_size
        with file.open('rb') as opened:
            head = opened.read(_HEAD_BYTES)
            opened.seek(max(0, size - len(_MCAP_MAGIC)))
            tail = opened.read()
    except OSError as error:
        raise bag_error(file, error) from error
    if not size:
        raise BagError(f'{file} is empty; the recording was never written, record again')
    if file.suffix not in _ALL_SUFFIXES:
        raise BagError(f'{file} is no recording; name a rosbag2 folder, or a .mcap, .db3 or .bag '
                       'file')
    if file.suffix == '.bag':
        _check_ros1(file, head)
    elif file.suffix == '.mcap':
        _check_mcap(file, head, tail)
    else:
        _check_sqlite(file, head, size)


def _check_ros1(file: Path, head: bytes) -> None:
    if not head.startswith(_ROS1_MAGIC):
        raise BagError(f'{file} is no ROS 1 recording of version 2.0: it begins with '
                       f'{head[:13]!r}; copy it again, or run `rosbag fix` on an older one')


def _check_mcap(file: Path, head: bytes, tail: bytes) -> None:
    if not head.startswith(_MCAP_MAGIC):
        raise BagError(f'{file} is no MCAP file: it begins with {head[:8]!r}; copy it again')
    if tail != _MCAP_MAGIC:
        raise BagError(f'{file} ends too early: its recorder was interrupted or the copy is '
                       f'incomplete; {_remedy(file)}')


def _check_sqlite(file: Path, head: bytes, size: int) -> None:
    """Look for what the library would pass over (https://www.sqlite.org/fileformat.html 1.3)."""
    if not head.startswith(_SQLITE_MAGIC):
        raise BagError(f'{file} is no SQLite file: it begins with {head[:8]!r}; copy it again')
    page_bytes = int.from_bytes(head[16:18], 'big')
    pages = int.from_bytes(head[28:32], 'big')
    is_page_count_valid = head[24:28] == head[92:96]
    if len(head) < _HEAD_BYTES or (is_page_count_valid and size < pages * page_bytes):
        raise BagError(f'{file} ends too early: its recorder was interrupted or the copy is '
                       f'incomplete; {_remedy(file)}')
    for ending in ('-wal', '-journal'):
        left = file.with_name(file.name + ending)
        if left.exists() and left.stat().st_size:
            raise BagError(f'{file} was not closed: {left.name} holds what is missing in it; run '
                           f'`sqlite3 {file} "PRAGMA wal_checkpoint(TRUNCATE); VACUUM"`')


def _remedy(path: Path) -> str:
    if path.suffix == '.mcap':
        return (f'save what is left with `mcap recover {path} -o recovered.mcap` and open that, '
                'or copy the file again')
    if path.suffix == '.db3':
        return (f'save what is left with `sqlite3 {path} .recover | sqlite3 recovered.db3` and '
                'open that, or copy the file again')
    if path.suffix == '.bag':
        return f'run `rosbag reindex {path}` (ROS 1), or copy the file again'
    return f'run `ros2 bag reindex {path}`, or open one of its files'


def _no_metadata(path: Path, files: list[Path]) -> BagError:
    if files:
        return BagError(f'{path} has {len(files)} recording files and no metadata.yaml; '
                        f'run `ros2 bag reindex {path}`, or open one of its files')
    return BagError(f'{path} is no recording: it has neither metadata.yaml nor a .mcap, .db3 '
                    'or .bag file; name the folder that `ros2 bag record` made')
