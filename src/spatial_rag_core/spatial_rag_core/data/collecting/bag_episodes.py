"""Recordings to episodes: read offline, resampled to a steady rate, faster than real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any, Literal

from spatial_rag_core.data import pictures
from spatial_rag_core.data.bags.bag_messages import action_of, FixedFrame, numbers_of, stamp_of
from spatial_rag_core.data.bags.bag_roles import BagRoles, find_roles, TWIST
from spatial_rag_core.data.bags.bag_source import BagMessage, BagSource, BagTopic
from spatial_rag_core.data.collecting.assembly_config import AssemblyConfig
from spatial_rag_core.data.collecting.episode_assembler import EpisodeAssembler
from spatial_rag_core.data.collecting.episode_run import RunLabels
from spatial_rag_core.data.collecting.findings import Findings
from spatial_rag_core.data.collecting.resample import fitting_rate_hz
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import BagError, ConfigurationError, InputError
from spatial_rag_core.records import as_action
from spatial_rag_core.streams.motion import BodyAxes

ActionSource = Literal['auto', 'topic', 'motion']
_FRAMES_LOOKED_AT = 60
_DEFAULT_ACTION_DIM = 2
_READS_PER_REPORT = 100


@dataclass(frozen=True)
class CollectConfig:
    """
    How recordings become episodes; see AssemblyConfig for what is not told here.

    remap: recorded topic → name of the contract (see bag_roles).  action_source 'auto' takes the
    action topic where there is one, else the past motion.  action_dim None: that of the recorded
    actions, else 2.  map_id None: each recording is a map of its own, named as its file.
    """

    remap: Mapping[str, str] = field(default_factory=dict)
    rate_hz: float = 20.0
    image_size: int = 64
    action_dim: int | None = None
    action_source: ActionSource = 'auto'
    pose_axes: BodyAxes = 'body'
    map_id: str | None = None
    robot: str = ''
    max_gap_sec: float = 0.25
    max_episode_sec: float = 120.0
    min_episode_sec: float = 1.0
    with_depth: bool = True

    def __post_init__(self) -> None:
        if self.action_source not in ('auto', 'topic', 'motion'):
            raise ConfigurationError("action_source must be 'auto', 'topic' or 'motion', got "
                                     f'{self.action_source!r}')
        self.assembly(self.action_dim or _DEFAULT_ACTION_DIM, 'topic', '')

    def assembly(self, action_dim: int, action_source: Literal['topic', 'motion'],
                 name: str) -> AssemblyConfig:
        """Return how the episodes of a recording of that name are made."""
        return AssemblyConfig(
            self.rate_hz, self.image_size, action_dim, action_source, self.pose_axes,
            self.max_gap_sec, self.max_episode_sec, self.min_episode_sec,
            labels=RunLabels(name if self.map_id is None else self.map_id, self.robot, name))


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
            self.roles = find_roles(bag.topics, self._config.remap)
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
        return (f'{self.path} gives no episode; most often: '
                f'{self.findings.worst() or "it holds no frames"}')

    def _fitted(self, bag: BagSource) -> AssemblyConfig:
        """Fit length of action and rate to what was recorded."""
        topic, wanted_hz = self._action_topic, self._config.rate_hz
        action_dim = self._config.action_dim or _DEFAULT_ACTION_DIM
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


def recording_name(path: Path) -> str:
    """Name of a recording: that of its folder or file, without the ending of a file."""
    return path.resolve().name if path.is_dir() else path.stem


def _action_topic(roles: BagRoles, source: ActionSource, path: Path) -> BagTopic | None:
    """Return where actions come from, None for the motion; raises BagError for what is absent."""
    if roles.pose is None:
        raise BagError(f'{path} has no poses (PoseStamped or Odometry); an episode needs to know '
                       'where its frames were taken: record them, too')
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
