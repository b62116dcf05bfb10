"""What `evaluate` can look at: a recording, a file of episodes, a folder of pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from spatial_rag_core.data.commands.recording_options import reading_of
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import InputError
from spatial_rag_core.evaluation.image_folders import (
    is_image_folder,
    PictureSet,
    POSE_LIST,
    read_image_folder,
)
from spatial_rag_core.models.bundle_metadata import BundleMetadata
from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_core.streams.motion import BodyAxes, past_motion

import numpy as np


def read_pictures(path: Path, arguments: argparse.Namespace,
                  metadata: BundleMetadata) -> PictureSet:
    """Read a recording or a folder of pictures, as the encoder sees them."""
    if is_image_folder(path):
        return read_image_folder(path, metadata.image_size)
    episodes = _from_bag(path, arguments, metadata)
    rgb, stamps, poses = (np.concatenate([getattr(one, name) for one in episodes])
                          for name in ('rgb', 'stamps', 'poses'))
    return PictureSet(path, rgb, stamps, poses)


def read_episodes(path: Path, arguments: argparse.Namespace,
                  metadata: BundleMetadata) -> list[Episode]:
    """Read a recording, a folder of pictures with poses.csv, or a file of episodes."""
    if path.suffix in ('.h5', '.hdf5'):
        return _from_file(path, metadata)
    if is_image_folder(path):
        pictures = read_image_folder(path, metadata.image_size)
        return [episode_of(pictures, metadata.action_dim, arguments.axes)]
    return _from_bag(path, arguments, metadata)


def episode_of(pictures: PictureSet, action_dim: int, axes: BodyAxes = 'body') -> Episode:
    """
    Make an episode of a folder of pictures; its actions are the past motion that the poses show.

    Raises InputError without stamps and poses, and where the pictures come at no steady rate.
    """
    stamps, poses = pictures.stamps, pictures.poses
    if stamps is None or poses is None:
        raise InputError(f'{pictures.path} does not say when and where its pictures were taken; '
                         f'put a {POSE_LIST} beside them: image,stamp,x,y,z,qx,qy,qz,qw')
    if len(stamps) < 2:
        raise InputError(f'{pictures.path} holds one picture; a prediction needs many')
    places = [Pose(Position(*pose[:3]), Quaternion(*pose[3:])) for pose in poses.tolist()]
    actions = past_motion(places, np.diff(stamps).tolist(), action_dim, axes)
    try:
        return Episode(pictures.path.name, pictures.rgb, actions, poses, stamps,
                       1.0 / float(np.median(np.diff(stamps))), actions_from='past motion')
    except InputError as error:
        raise InputError(f'{pictures.path}: {error}') from error


def _from_bag(path: Path, arguments: argparse.Namespace,
              metadata: BundleMetadata) -> list[Episode]:
    from spatial_rag_core.data.collecting.bag_episodes import episode_from_bag
    return episode_from_bag(
        path, image_size=metadata.image_size, action_dim=metadata.action_dim, with_depth=False,
        **reading_of(arguments))


def _from_file(path: Path, metadata: BundleMetadata) -> list[Episode]:
    from spatial_rag_core.data.episodes.episode_file import EpisodeReader  # h5py
    with EpisodeReader(path) as reader:
        episodes = [reader.read(name) for name in reader.names()]
    for one in episodes:
        if one.rgb.shape[1] != metadata.image_size:
            raise InputError(f'{path}: {one.name} has pictures of {one.rgb.shape[1]} px, the '
                             f'model sees {metadata.image_size} px; make them of that size')
    return episodes


def grouped(episodes: list[Episode]) -> list[list[Episode]]:
    """Put episodes together that follow each other in one recording: one remembers the other."""
    groups: list[list[Episode]] = []
    for one in sorted(episodes, key=lambda one: (*_recording_of(one), one.stamps[0])):
        before = groups[-1][-1] if groups else None
        if (before is not None and any(_recording_of(one))
                and _recording_of(one) == _recording_of(before)
                and one.stamps[0] > before.stamps[-1]):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _recording_of(episode: Episode) -> tuple[str, str, str, str]:
    return episode.map_id, episode.session, episode.robot, episode.source
