"""
What transform_tree.py uses of tf2_ros, for machines without it: transforms, but no tree.

As documented: Buffer() with set_transform, set_transform_static, lookup_transform of the latest
and clear, and TransformException.
"""

from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header


class TransformException(Exception):  # noqa: N818
    """Base of all that tf2 raises."""


class Buffer:
    """The newest transform of each pair of frames."""

    def __init__(self) -> None:
        self._transforms: dict[tuple[str, str], TransformStamped] = {}
        self._static: dict[tuple[str, str], TransformStamped] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        if transform.child_frame_id == REFUSED:
            raise ValueError('a value that tf2 does not take')
        pair = _frames(transform)
        before = self._transforms.get(pair)
        if before is None or _seconds(before) <= _seconds(transform):
            self._transforms[pair] = transform

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Of no time, and so at any."""
        parent, child = _frames(transform)
        self._static[parent, child] = TransformStamped(
            header=Header(frame_id=parent), child_frame_id=child, transform=transform.transform)

    def lookup_transform(self, target_frame: str, source_frame: str, time: object,
                         ) -> TransformStamped:
        for transforms in (self._transforms, self._static):
            if (found := transforms.get((target_frame, source_frame))) is not None:
                return found
        raise TransformException(f'"{source_frame}" passed to lookupTransform argument '
                                 'source_frame does not exist.')

    def clear(self) -> None:
        """Static ones stay."""
        self._transforms.clear()


REFUSED = 'refused'
"""Frame of which no transform is taken: tf2 says nowhere what it raises, and when."""


def _frames(transform: TransformStamped) -> tuple[str, str]:
    return transform.header.frame_id, transform.child_frame_id


def _seconds(transform: TransformStamped) -> float:
    return transform.header.stamp.sec + transform.header.stamp.nanosec * 1e-9
