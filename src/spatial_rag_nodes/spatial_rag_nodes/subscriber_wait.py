"""Waits until those who will listen have found the publishers; others would miss the start."""

from __future__ import annotations

from collections.abc import Sequence
import time

from spatial_rag_nodes.parameters import NodeParameters, Parameter

from rclpy.publisher import Publisher

SETTLE_SEC = 1.0
"""Subscribers must have been the same for this long: the other side has to find us, too."""

PARAMETERS = (
    Parameter('subscriber_wait_sec', 20.0, 'Wait at most this long for subscribers; 0: do not '
              'wait', 's', 0.0, 3600.0),
    Parameter('subscriptions_expected', 1, 'Subscriptions to wait for, over all topics', '',
              1, 10000),
)


class SubscriberWait:
    """Is over once the subscriptions are there and no more come, or after its time."""

    def __init__(self, publishers: Sequence[Publisher], parameters: NodeParameters) -> None:
        self._publishers = publishers
        self._expected = parameters['subscriptions_expected']
        self._deadline = time.monotonic() + parameters['subscriber_wait_sec']
        self._count = 0
        self._since = time.monotonic()

    def is_over(self) -> bool:
        """Look again."""
        now = time.monotonic()
        count = sum(publisher.get_subscription_count() for publisher in self._publishers)
        if count != self._count:
            self._count, self._since = count, now
        settled = count >= self._expected and now - self._since >= SETTLE_SEC
        return settled or now >= self._deadline
