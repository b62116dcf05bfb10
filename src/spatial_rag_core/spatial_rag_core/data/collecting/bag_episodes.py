"""Recordings to episodes: read offline, resampled to a steady rate, faster than real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from spatial_rag_core.data import pictures
from spatial_rag_core.data.bags.bag_messages import action_of, FixedFrame, numbers_of, stamp_of
from spatial_rag_core.data.bags.bag_roles import BagRoles, find_roles, TWIST
from spatial_rag_core.data.bags.bag_source import BagMessage, BagSource, BagTopic
from spatial_rag_core.data.bags.recorded_transforms import RecordedTransforms
from spatial_rag_core.data.collecting.assembly_config import AssemblyConfig
from spatial_rag_core.data.collecting.collect_config import (
    ActionSource,
    CollectConfig,
    DEFAULT_ACTION_DIM,
)
from spatial_rag_core.data.collecting.episode_assembler import EpisodeAssembler
from spatial_rag_core.data.collecting.findings import Findings
from spatial_rag_core.data.collecting.resample import fitting_rate_hz
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import BagError, InputError
from spatial_rag_core.records import as_action

_FRAMES_LOOKED_AT = 60
_READS_PER_REPORT = 100


def episode_from_bag(path: str | Path, **config: Any) -> list[Episode]:
    """
    Return the episodes of a recording; the keywords are the fields of CollectConfig.

    Raises BagError for a recording that is damaged, lacks camera or poses, or gives no episode,
    and ConfigurationError for a keyword out of its range.
    """
    bag = BagEpisodes(path, CollectConfig(**config))
    episodes = list(bag)
    if not episodes:
        raise BagError(bag.nothing())
    return episodes


class BagEpisodes:
    """
    The episodes of one recording, made while they are iterated over, once.

    A frame that cannot be used is noted in `findings`. Where the recording turns out to be
    damaged, what lay before comes first, then BagError.
    on_read: told now and then how much of the recording was read [s].
    roles: which topics are used.  rate_hz: lower than asked for where the camera is slower.
    """

    def __init__(self, path: str | Path, config: CollectConfig | None = None) -> None:
        self.path = Path(path)
        self.findings = Findings()
        self.on_read: Callable[[float], None] = lambda read_sec: None
        self._config = CollectConfig() if config is None else config
        with BagSource(self.path) as bag:
            self.start_ns, self.duration_sec = bag.start_ns, bag.duration_sec
            self.roles = find_roles(bag.topics, self._config.remap,
                                    pose_topic=self._config.pose_source != 'tf')
            self._transforms = self._transforms_if_needed()
            self._action_topic = _action_topic(self.roles, self._config.action_source, self.path)
            self._assembly = self._fitted(bag)
        self.rate_hz = self._assembly.rate_hz
        self.assembler = EpisodeAssembler(self._assembly, self.findings)

    def __iter__(self) -> Iterator[Episode]:
        """Read the recording from its beginning to its end."""
        damage: BagError | None = None
        with BagSource(self.path) as bag:
            feeds = self._feeds(bag)
            try:
                for count, message in enumerate(bag.messages(list(feeds))):
                    if count % _READS_PER_REPORT == 0:
                        self.on_read((message.stamp_ns - self.start_ns) / 1e9)
                    self._feed(feeds[message.topic], bag, message)
                    yield from self.assembler.take()
            except BagError as error:
                damage = error
            self.assembler.finish()
            yield from self.assembler.take()
        if damage is not None:
            raise damage

    def nothing(self) -> str:
        """Tell why there is no episode."""
        if self._transforms is not None and not self._transforms.has_poses:
            return f'{self.path} gives no episode: {self._transforms.missing()}'
        return (f'{self.path} gives no episode; most often: '
                f'{self.findings.worst() or "it holds no frames"}')

    def _transforms_if_needed(self) -> RecordedTransforms | None:
        """What follows them, None where poses have a topic; raises BagError without either."""
        config, roles = self._config, self.roles
        if roles.pose is not None:
            return None
        if config.pose_source == 'topic' or roles.tf is None:
            wanted = {'topic': 'PoseStamped or Odometry', 'tf': '/tf'}.get(
                config.pose_source, 'PoseStamped, Odometry or /tf')
            raise BagError(f'{self.path} has no poses ({wanted}); an episode needs to know where '
                           'its frames were taken: record them, too')
        return RecordedTransforms(config.map_frame, config.base_frame)

    def _fitted(self, bag: BagSource) -> AssemblyConfig:
        """Fit length of action and rate to what was recorded."""
        topic, wanted_hz = self._action_topic, self._config.rate_hz
        action_dim = self._config.action_dim or DEFAULT_ACTION_DIM
        if topic is not None and topic.type != TWIST and self._config.action_dim is None:
            action_dim = len(numbers_of(bag.first(topic.name)))
        assembly = self._config.assembly(
            action_dim, 'motion' if topic is None else 'topic', recording_name(self.path))
        source_hz = _camera_hz(bag, self.roles.camera)
        fitting_hz = fitting_rate_hz(wanted_hz, source_hz)
        if fitting_hz < wanted_hz:
            self.findings.note('rate_lowered', f'the camera gives {source_hz:.1f} Hz; the '
                               f'episodes are of {fitting_hz:.3g} Hz, not {wanted_hz:g}')
        return replace(assembly, rate_hz=fitting_hz)

    def _feed(self, take: Callable[[int, Any], None], bag: BagSource,
              message: BagMessage) -> None:
        try:
            decoded = bag.decode(message)
            stamp_ns = stamp_of(decoded)
            if stamp_ns == 0:
                self.findings.note('messages_without_stamp', f'{message.topic} carries no '
                                   'stamps; times of receipt are taken')
            take(stamp_ns or message.stamp_ns, decoded)
        except (InputError, BagError) as error:
            self.findings.note('unusable_messages', f'{message.topic}: {error}')

    def _feeds(self, bag: BagSource) -> dict[str, Callable[[int, Any], None]]:
        """Topic → what takes its messages."""
        roles, assembler = self.roles, self.assembler
        feeds: dict[str, Callable[[int, Any], None]] = {
            roles.camera.name: lambda stamp_ns, msg: assembler.add_frame(
                stamp_ns, lambda: pictures.rgb_of(msg))}
        if roles.pose is not None:
            frame = FixedFrame(roles.pose.type)
            feeds[roles.pose.name] = lambda stamp_ns, msg: assembler.add_pose(
                stamp_ns, frame.pose_of(msg))
        elif roles.tf is not None:
            feeds[roles.tf.name] = lambda _, msg: self._follow(msg)
            if roles.tf_static is not None:
                self._take_in_static(bag, roles.tf_static)
        if roles.depth is not None and self._config.with_depth:
            feeds[roles.depth.name] = lambda stamp_ns, msg: assembler.add_depth(
                stamp_ns, lambda: pictures.depth_of(msg))
        if self._action_topic is not None:
            feeds[self._action_topic.name] = lambda _, msg: assembler.add_action(
                action_of(msg, self._assembly.action_dim))
        if roles.proprio is not None:
            feeds[roles.proprio.name] = lambda _, msg: assembler.add_proprio(
                as_action(numbers_of(msg)))
        return feeds


    def _follow(self, msg: Any) -> None:
        assert self._transforms is not None
        self._transforms.put(msg.transforms)
        found = self._transforms.take()
        if found is not None:
            self.assembler.add_pose(*found)

    def _take_in_static(self, bag: BagSource, topic: BagTopic) -> None:
        """Before all else, as latched ones are there for whoever comes."""
        assert self._transforms is not None
        try:
            for message in bag.messages([topic.name]):
                self._transforms.put(bag.decode(message).transforms, is_static=True)
        except (InputError, BagError) as error:
            self.findings.note('unusable_messages', f'{topic.name}: {error}')


def recording_name(path: Path) -> str:
    """Name of a recording: that of its folder or file, without the ending of a file."""
    return path.resolve().name if path.is_dir() else path.stem


def _action_topic(roles: BagRoles, source: ActionSource, path: Path) -> BagTopic | None:
    """Return where actions come from, None for the motion; raises BagError for what is absent."""
    if source == 'topic' and roles.action is None:
        raise BagError(f'{path} has no actions (Float32MultiArray or Twist); derive them from '
                       'the motion, or name their topic with remap')
    return None if source == 'motion' else roles.action


def _camera_hz(bag: BagSource, camera: BagTopic) -> float:
    """Return how often pictures come, most of the time."""
    stamps = [message.stamp_ns for message in islice(
        bag.messages([camera.name], end_ns=bag.end_ns), _FRAMES_LOOKED_AT)]
    steps = [after - before for before, after in pairwise(stamps)]
    return 1e9 / max(1.0, median(steps)) if steps else float('inf')
