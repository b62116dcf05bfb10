"""
What tf_poses.py uses of tf2_ros, for machines without it: one transform, not a tree.

As documented: Buffer(), TransformListener(buffer, node), lookup_transform of the latest, clear,
and TransformException. It listens to TransformStamped, for tf2_msgs is absent as well.
"""

from geometry_msgs.msg import TransformStamped


class TransformException(Exception):  # noqa: N818
    """Base of all that tf2 raises."""


class Buffer:
    """The newest transform of each pair of frames."""

    def __init__(self) -> None:
        self._transforms: dict[tuple[str, str], TransformStamped] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        pair = transform.header.frame_id, transform.child_frame_id
        before = self._transforms.get(pair)
        if before is None or _seconds(before) <= _seconds(transform):
            self._transforms[pair] = transform

    def lookup_transform(self, target_frame: str, source_frame: str, time: object,
                         ) -> TransformStamped:
        try:
            return self._transforms[target_frame, source_frame]
        except KeyError:
            raise TransformException(f'"{source_frame}" passed to lookupTransform argument '
                                     'source_frame does not exist.') from None

    def clear(self) -> None:
        self._transforms.clear()


class TransformListener:
    """Fills a buffer from /tf."""

    def __init__(self, buffer: Buffer, node: object) -> None:
        node.create_subscription(TransformStamped, '/tf',
                                 lambda msg: buffer.set_transform(msg, 'test'), 100)


def _seconds(transform: TransformStamped) -> float:
    return transform.header.stamp.sec + transform.header.stamp.nanosec * 1e-9
