"""Which topic of a recording plays which role, where its names differ from the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spatial_rag_core.data.bags.bag_source import BagTopic
from spatial_rag_core.errors import BagError

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
POSE = 'geometry_msgs/msg/PoseStamped'
ODOMETRY = 'nav_msgs/msg/Odometry'
ACTIONS = 'std_msgs/msg/Float32MultiArray'
TWIST = 'geometry_msgs/msg/Twist'
TRANSFORMS = ('tf2_msgs/msg/TFMessage', 'tf/msg/tfMessage')

_IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
_PROPRIO = '/proprio'
_OTHER_ARRAYS = (_PROPRIO, '/latent', '/latent_next')
_TRANSPORTS = ('/compressedDepth', '/compressed')


_OWN_TOPICS = ('/latent', '/latent_next', '/diagnostics', '/rosout', '/parameter_events',
               '/clock')


def is_own_topic(name: str) -> bool:
    """Whether a recorded topic is one that the running stack, or ROS itself, publishes anew."""
    return name in _OWN_TOPICS or '/spatial_rag/' in name


@dataclass(frozen=True)
class BagRoles:
    """
    The topics to use, under the names that the recording gives them; None: there is none.

    tf, tf_static: transforms, for poses where no topic has them.
    """

    camera: BagTopic
    depth: BagTopic | None = None
    pose: BagTopic | None = None
    action: BagTopic | None = None
    proprio: BagTopic | None = None
    tf: BagTopic | None = None
    tf_static: BagTopic | None = None

    @property
    def compressed(self) -> bool:
        """Whether the camera's pictures are CompressedImage."""
        return self.camera.type == COMPRESSED_IMAGE

    @property
    def pose_kind(self) -> Literal['pose', 'odometry'] | None:
        """Whether poses are PoseStamped or Odometry; None without poses."""
        if self.pose is None:
            return None
        return 'odometry' if self.pose.type == ODOMETRY else 'pose'

    @property
    def action_kind(self) -> Literal['actions', 'twist'] | None:
        """Whether actions are Float32MultiArray or Twist; None without actions."""
        if self.action is None:
            return None
        return 'twist' if self.action.type == TWIST else 'actions'


@dataclass(frozen=True)
class _Named:
    """A topic and the name that stands for it after remapping."""

    name: str
    topic: BagTopic

    @property
    def base(self) -> str:
        """The name without the ending of an image transport."""
        for ending in _TRANSPORTS:
            if self.name.endswith(ending):
                return self.name[:-len(ending)]
        return self.name


def find_roles(topics: Iterable[BagTopic], remap: Mapping[str, str] | None = None,
               pose_topic: bool = True) -> BagRoles:
    """
    Pick by contract name, else by type; remap gives recorded names others for this choice.

    pose_topic: whether one is to be picked.  Topics without messages play no role.  Raises
    BagError where no topic holds pictures, where several could play a role, and for a remap of a
    topic that is not there.
    """
    recorded = sorted(topics, key=lambda topic: topic.name)
    named = _remapped(recorded, remap or {})
    images = _of_types(named, _IMAGE_TYPES)
    color = [image for image in images if 'depth' not in image.name.lower()]
    camera = _pick_image(color, '/camera/image_raw', ('color', 'rgb'))
    if camera is None:
        raise BagError('the recording has no camera topic (Image or CompressedImage) with '
                       f'messages; it has {_listing(recorded)}')
    depth = _pick_image([image for image in images if image not in color],
                        '/camera/depth/image_raw', ('aligned',))
    return BagRoles(
        camera, depth, _pick_pose(named) if pose_topic else None, _pick_action(named),
        next((one.topic for one in _of_types(named, (ACTIONS,)) if one.name == _PROPRIO), None),
        _pick_transforms(named, '/tf'), _pick_transforms(named, '/tf_static'))


def _remapped(topics: Sequence[BagTopic], remap: Mapping[str, str]) -> list[_Named]:
    unknown = sorted(set(remap) - {topic.name for topic in topics})
    if unknown:
        raise BagError(f'REMAP names {unknown[0]!r}, which is not in the recording; it has '
                       + _listing(topics))
    return [_Named(remap.get(topic.name, topic.name), topic) for topic in topics if topic.count]


def _of_types(named: Sequence[_Named], types: Sequence[str]) -> list[_Named]:
    return [one for one in named if one.topic.type in types]


def _pick_image(images: Sequence[_Named], contract: str, words: tuple[str, ...],
                ) -> BagTopic | None:
    """Take the contract's topic, else narrow down; of one camera raw pictures win."""
    narrowings: tuple[Callable[[_Named], bool], ...] = (
        lambda image: image.base == contract,
        lambda image: any(word in image.name.lower() for word in words),
        lambda image: 'image' in image.name.lower(),
        lambda image: image.base.endswith('/image_raw'))
    for is_better in narrowings:
        images = [image for image in images if is_better(image)] or images
    if len({image.base for image in images}) > 1:
        raise _ambiguous(images, contract)
    ranked = sorted(images, key=lambda image: (image.topic.type != IMAGE, image.name))
    return ranked[0].topic if ranked else None


def _pick_pose(named: Sequence[_Named]) -> BagTopic | None:
    here = [one for one in named if 'goal' not in one.name.lower()]
    return _pick(here, {'/pose': POSE, '/odom': ODOMETRY})


def _pick_action(named: Sequence[_Named]) -> BagTopic | None:
    actions = [one for one in named if one.name not in _OTHER_ARRAYS]
    return _pick(actions, {'/actions': ACTIONS, '/cmd_vel': TWIST})


def _pick_transforms(named: Sequence[_Named], contract: str) -> BagTopic | None:
    """Those of the name, else the only ones that end so: a robot's in a namespace."""
    ending = [one for one in _of_types(named, TRANSFORMS) if one.name.endswith(contract)]
    exact = [one for one in ending if one.name == contract] or ending
    return exact[0].topic if len(exact) == 1 else None


def _pick(named: Sequence[_Named], contract: Mapping[str, str]) -> BagTopic | None:
    """Take the first contract name, else the first type that only one topic has."""
    for name, msgtype in contract.items():
        for one in _of_types(named, (msgtype,)):
            if one.name == name:
                return one.topic
    for msgtype in contract.values():
        candidates = _of_types(named, (msgtype,))
        if len(candidates) == 1:
            return candidates[0].topic
    candidates = _of_types(named, tuple(contract.values()))
    if candidates:
        kind = candidates[0].topic.type
        raise _ambiguous(candidates, next(n for n, t in contract.items() if t == kind))
    return None


def _ambiguous(candidates: Sequence[_Named], contract: str) -> BagError:
    return BagError(f'several topics could be {contract}: '
                    f'{_listing([one.topic for one in candidates])}; choose one with '
                    f'REMAP="{candidates[0].topic.name}:={contract}"')


def _listing(topics: Sequence[BagTopic]) -> str:
    return ', '.join(f'{topic.name} ({topic.type}, {topic.count})' for topic in topics) or 'none'
