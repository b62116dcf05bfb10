"""What HDF5 and the operating system say of a file of episodes, in our words."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
from pathlib import Path

from spatial_rag_core.errors import EpisodeError, InputError

_SAID_BY_HDF5 = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError,
                 AttributeError)


@contextlib.contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Translate what opening a file raises."""
    try:
        yield
    except EpisodeError:
        raise
    except _SAID_BY_HDF5 as error:
        raise EpisodeError(_about_file(path, error)) from error


@contextlib.contextmanager
def episode_errors(path: Path, name: str) -> Iterator[None]:
    """Translate what reading an episode raises; the message names it and says what to do."""
    try:
        yield
    except (EpisodeError, InputError) as error:
        raise EpisodeError(f'{path}: {name}: {error}') from error
    except _SAID_BY_HDF5 as error:
        raise EpisodeError(f'{path}: {name} is damaged ({_first_line(error)}); leave it out, or '
                           'copy the file again') from error


@contextlib.contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Translate what a disk says that takes no more."""
    try:
        yield
    except (EpisodeError, InputError):
        raise
    except _SAID_BY_HDF5 as error:
        reason = getattr(_cause(error), 'strerror', None) or _first_line(error)
        raise EpisodeError(f'{path} cannot be written: {reason}; free space, check that the '
                           'folder is writable, or name another file') from error


def _cause(error: BaseException) -> BaseException:
    """Find the operating system's word, which h5py may have wrapped."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO,
                                                       errno.EACCES, errno.EROFS, errno.EFBIG):
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def _about_file(path: Path, error: Exception) -> str:
    text = _first_line(error)
    if isinstance(error, FileNotFoundError):
        return f'{path}: no such file of episodes; make one: spatial-rag data generate {path}'
    if isinstance(error, BlockingIOError) or 'unable to lock file' in text:
        return (f'{path} is in use: one process may write to it, or several may read; wait until '
                'the other has finished, or name another file')
    if isinstance(error, (PermissionError, IsADirectoryError)):
        return f'{path} cannot be read: {error.strerror}; name a file that can'
    if 'truncated file' in text:
        return f'{path} is cut short ({text}); copy it again, or make it anew'
    if 'signature not found' in text:
        return f'{path} is no HDF5 file; name a file that `spatial-rag data` wrote'
    return f'{path} is damaged ({text}); copy it again, or make it anew'


def _first_line(error: Exception) -> str:
    """One line; of a KeyError without the quotes that str() adds."""
    words = error.args[0] if isinstance(error, KeyError) and error.args else error
    return ' '.join(str(words).split())[:200] or type(error).__name__
