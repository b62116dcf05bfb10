"""
How one episode lies in an HDF5 file; the names are robomimic's where it has one.

docs/DATA.md shows the whole file.  Every dataset is cut into chunks of moments and deflated;
HDF5 verifies a chunk's check sum (Adler-32) whenever it is read, and those of all names and
attributes besides.
"""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

from spatial_rag_core.data.episodes.episode import (
    Episode,
    EpisodeFacts,
    MAX_DEPTH_M,
    Split,
    SPLITS,
)
from spatial_rag_core.errors import EpisodeError, InputError

import h5py
import numpy as np
from numpy.typing import NDArray

FORMAT_VERSION = 1
LIBVER = ('v110', 'v110')
"""HDF5 1.10 and later read it; in older layouts the index of the chunks has no check sums."""

UNITS = {
    'obs/rgb': 'uint8 [T, S, S, 3], red, green, blue, 0 to 255',
    'obs/depth': 'uint16 [T, S, S], mm along the optical axis, 0: not known',
    'obs/proprio': 'float32 [T, P], as the robot gives it (Rooms2D: m/s, rad/s)',
    'actions': 'float32 [T, A], see actions_from (Rooms2D, cmd_vel, motion: m/s, rad/s)',
    'poses': 'float64 [T, 7], x, y, z [m], qx, qy, qz, qw, body to map frame',
    'stamps': 'float64 [T], s since 1970-01-01 00:00 UTC',
}
_DEMO = re.compile(r'demo_\d{1,12}')
_OPTIONAL = ('obs/depth', 'obs/proprio')
_DTYPES = {'obs/rgb': np.uint8, 'obs/depth': np.uint16, 'obs/proprio': np.float32,
           'actions': np.float32, 'poses': np.float64, 'stamps': np.float64}
_TEXTS = ('map_id', 'session', 'robot', 'source')
_CHUNK_MOMENTS = 16
_CHUNK_MOMENTS_OF_NUMBERS = 1024
_DEFLATE_LEVEL = 1  # docs/DATA.md has the figures


def store(group: h5py.Group, episode: Episode) -> None:
    """Write an episode into an empty group; raises InputError for depth beyond 65.535 m."""
    arrays: dict[str, NDArray[Any]] = {
        'obs/rgb': episode.rgb, 'actions': episode.actions, 'poses': episode.poses,
        'stamps': episode.stamps}
    if episode.depth_m is not None:
        arrays['obs/depth'] = _as_mm(episode.depth_m)
    if episode.proprio is not None:
        arrays['obs/proprio'] = episode.proprio
    for path, array in arrays.items():
        _store_array(group, path, array)
    seed = {} if episode.map_seed is None else {'map_seed': episode.map_seed}
    group.attrs.update({'num_samples': len(episode), 'rate_hz': float(episode.rate_hz), **seed})
    for name in (*_TEXTS, 'actions_from'):
        set_text(group, name, getattr(episode, name))


def load(name: str, group: h5py.Group, with_depth: bool = True) -> Episode:
    """Read an episode; raises EpisodeError, InputError, and what h5py does for damaged bytes."""
    facts = facts_of(name, group)
    depth_mm = _load_array(group, 'obs/depth') if with_depth and facts.has_depth else None
    return Episode(
        name, _load_array(group, 'obs/rgb'), _load_array(group, 'actions'),
        _load_array(group, 'poses'), _load_array(group, 'stamps'), facts.rate_hz,
        facts.map_id, facts.map_seed,
        None if depth_mm is None else depth_mm * np.float32(0.001),
        _load_array(group, 'obs/proprio') if facts.proprio_dim else None,
        facts.session, facts.robot, facts.source, facts.actions_from)


def facts_of(name: str, group: h5py.Group, splits: tuple[Split, ...] = ()) -> EpisodeFacts:
    """Tell what a group holds, its stamps read, its pictures not; raises as `load` does."""
    datasets = _datasets(group)
    length = int(group.attrs['num_samples'])
    _check_lengths(datasets, length)
    stamps = _load_array(group, 'stamps')
    seed = int(group.attrs['map_seed']) if 'map_seed' in set(group.attrs) else None
    proprio_dim = datasets['obs/proprio'].shape[1] if 'obs/proprio' in datasets else 0
    return EpisodeFacts(
        name, splits, length, float(group.attrs['rate_hz']), datasets['obs/rgb'].shape[1],
        datasets['actions'].shape[1], proprio_dim, 'obs/depth' in datasets, float(stamps[0]),
        float(stamps[-1]), sum(one.id.get_storage_size() for one in datasets.values()),
        map_seed=seed, actions_from=_actions_from(group),
        **{name: text_of(group, name) for name in _TEXTS})


def require_format(path: Path, file: h5py.File) -> None:
    """Raise EpisodeError for a file of another layout, or of another version of it."""
    version = file['data'].attrs.get('format_version') if 'data' in set(file) else None
    if version is None:
        raise EpisodeError(f'{path} is no file of episodes: /data has no format_version; name a '
                           'file that `spatial-rag data` wrote')
    if int(version) != FORMAT_VERSION:
        raise EpisodeError(f'{path} has format_version {version}, this software reads '
                           f'{FORMAT_VERSION}; make it anew, or use the software that wrote it')


def demo_names(file: h5py.File) -> list[str]:
    """Return the names of all episodes, in the order in which they were appended."""
    return sorted(filter(_DEMO.fullmatch, file['data']), key=lambda name: int(name[5:]))


def splits_of_names(file: h5py.File) -> dict[str, tuple[Split, ...]]:
    """Return the splits that name an episode, for each name."""
    found: dict[str, tuple[Split, ...]] = {}
    for split in SPLITS:
        for name in file[f'mask/{split}'][()]:
            found[name.decode()] = (*found.get(name.decode(), ()), split)
    return found


def set_text(owner: h5py.HLObject, name: str, text: str) -> None:
    """Write an attribute of fixed length, since HDF5 keeps others where no check sum is."""
    content = text.encode()
    owner.attrs.create(name, content, dtype=h5py.string_dtype('utf-8', max(len(content), 1)))


def text_of(owner: h5py.HLObject, name: str) -> str:
    """Read an attribute that is text."""
    value = owner.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def _actions_from(group: h5py.Group) -> Any:
    """Files of before 2026-11-23 do not say."""
    return text_of(group, 'actions_from') if 'actions_from' in set(group.attrs) else 'commands'


def _store_array(group: h5py.Group, path: str, array: NDArray[Any]) -> None:
    moments = _CHUNK_MOMENTS if array.ndim > 2 else _CHUNK_MOMENTS_OF_NUMBERS
    chunk = (min(moments, len(array)), *(max(size, 1) for size in array.shape[1:]))
    dataset = group.create_dataset(path, data=array, chunks=chunk, compression='gzip',
                                   compression_opts=_DEFLATE_LEVEL)
    set_text(dataset, 'unit', UNITS[path])


def _as_mm(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    if depth_m.max() > MAX_DEPTH_M:
        raise InputError(f'depth_m holds {depth_m.max():g} m, a file of episodes at most '
                         f'{MAX_DEPTH_M} m; put 0 (not known) where it is farther')
    depth_mm: NDArray[np.uint16] = np.rint(depth_m * np.float32(1000.0)).astype(np.uint16)
    return depth_mm


def _datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """
    Find what is there, each of its type; raises EpisodeError where something must be there.

    Names are listed, not asked for: to ask h5py for what is damaged is as if it were not there.
    """
    there = {*group, *(f'obs/{name}' for name in group['obs'])}
    if missing := [path for path in _DTYPES if path not in there and path not in _OPTIONAL]:
        raise EpisodeError(f'{", ".join(missing)} is missing')
    datasets = {path: group[path] for path in _DTYPES if path in there}
    for path, dataset in datasets.items():
        if dataset.dtype != _DTYPES[path]:
            raise EpisodeError(f'{path} is {dataset.dtype}, expected '
                               f'{np.dtype(_DTYPES[path])}')
    return datasets


def _check_lengths(datasets: dict[str, h5py.Dataset], length: int) -> None:
    for path, dataset in datasets.items():
        if dataset.shape[:1] != (length,) or not length:
            raise EpisodeError(f'{path} has shape {list(dataset.shape)}, num_samples is {length}')
    for path in ('actions', 'obs/proprio'):
        if path in datasets and datasets[path].ndim != 2:
            raise EpisodeError(f'{path} has shape {list(datasets[path].shape)}, expected two axes')


def _load_array(group: h5py.Group, path: str) -> NDArray[Any]:
    array: NDArray[Any] = group[path][()]
    return array
