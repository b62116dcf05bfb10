"""Turns camera pictures into latents."""

from __future__ import annotations

import time
from typing import NamedTuple

from spatial_rag_core.errors import InputError
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import Vector
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.frame_pairing import FramePairing
from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.newest_first import NewestFirstWorker
from spatial_rag_core.streams.rate_limiter import RateLimiter
from spatial_rag_core.streams.stamp_order import StampOrder, Step
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_msgs.srv import EncodeImage
from spatial_rag_nodes import qos, shared_parameters
from spatial_rag_nodes.closing_node import ClosingNode
from spatial_rag_nodes.conversions import (
    array_from_vector,
    floats_from_vector,
    msg_from_latent,
    ns_from_time,
    proprio_from_msg,
    time_from_ns,
)
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.images import depth_from_msg, DepthMap, jpeg_from_rgb, Rgb, rgb_from_msg
from spatial_rag_nodes.parameters import NodeParameters, Parameter
from spatial_rag_nodes.picture_inputs import PICTURE_TYPES
from spatial_rag_nodes.service_threads import ServiceThreads

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32MultiArray

PROPRIO_TIMEOUT_SEC = 1.0
"""
Proprioception that came longer ago says nothing of this picture: it is a state, sent at 10 Hz
or more, and a second is ten losses in a row. It carries no stamp, so its arrival counts.
"""


def _parameters(settings: Settings) -> tuple[Parameter, ...]:
    return (
        *shared_parameters.model(settings),
        shared_parameters.z_dim(settings),
        Parameter('publish_rate', 20.0, "At most so many latents a second of the pictures' own "
                  'time', 'Hz', 0.1, 1000.0, live=True),
        Parameter('image_transport', 'raw', 'Topic of the pictures: camera/image_raw (raw) or '
                  'camera/image_raw/compressed', choices=('raw', 'compressed')),
        Parameter('depth_transport', 'raw', 'Topic of the depth maps, for a model that uses '
                  'depth: camera/depth/image_raw, …/compressed or …/compressedDepth',
                  choices=tuple(PICTURE_TYPES)),
        Parameter('depth_tolerance_sec', 0.02, 'A depth map belongs to a picture at most this '
                  'far away in time', 's', 0.0, 1.0),
        Parameter('depth_wait_sec', 0.03, 'How long a picture waits for its depth map', 's',
                  0.0, 1.0),
        Parameter('thumbnail_quality', 90, 'JPEG quality of the picture kept with each memory; '
                  '0: none', '', 0, 100, live=True),
    )


class _Frame(NamedTuple):
    """A picture that was let through, and when it came (monotonic clock)."""

    msg: Image | CompressedImage
    stamp_ns: int
    arrived_ns: int


class EncoderNode(ClosingNode):
    """Publishes latent and spatial_rag/latent for camera/image_raw; serves encode_image."""

    def __init__(self) -> None:
        super().__init__('encoder')
        parameters = self._config = NodeParameters(
            self, _parameters(Settings.from_environment()), self._apply_rate)
        self._bundle = Bundle.load(
            shared_parameters.model_path(parameters), z_dim=parameters['z_dim'],
            device=parameters['device'], num_threads=parameters['num_threads'])
        self._order = StampOrder()
        self._apply_rate()
        self._pairing: FramePairing[_Frame, Image | CompressedImage] = FramePairing(
            parameters['depth_tolerance_sec'], parameters['depth_wait_sec'])
        self._proprio: tuple[Float32MultiArray, int] | None = None
        self._counts = dict.fromkeys(('frames_in', 'frames_over_rate', 'frames_stale',
                                      'frames_dropped', 'frames_without_depth'), 0)
        self._rate, self._latency_ms = RateWindow(), LatencyWindow()
        self._health = Health(self, self._figures)
        self._plain = self.create_publisher(Float32MultiArray, 'latent', qos.stream())
        self._stamped = self.create_publisher(LatentStamped, 'spatial_rag/latent', qos.stream())
        self._worker = NewestFirstWorker(self._health.guarded(self._encode), 'encoder')
        self._service_threads = ServiceThreads(self, 'encode_image')
        self._service_threads.create_service(
            EncodeImage, 'spatial_rag/encode_image', self._health, self._serve,
            EncodeImage.Response.INVALID_IMAGE)
        self._subscribe()
        meta = self._bundle.metadata
        about = f'{meta.architecture} model {meta.model_id} on {self._bundle.device}'
        if meta.trained:
            self.get_logger().info(about)
        else:
            self.get_logger().warning(f'{about} is UNTRAINED: its latents tell pictures apart, '
                                      'its predictions and decoded pictures mean nothing')

    def _apply_rate(self) -> None:
        """Begin a new grid: the rate is another, or time is."""
        self._limiter = RateLimiter(self._config['publish_rate'])

    def _subscribe(self) -> None:
        kind, suffix = PICTURE_TYPES[self._config['image_transport']]
        self._listen(kind, 'camera/image_raw' + suffix, self._on_picture)
        if self._bundle.metadata.uses_depth:
            kind, suffix = PICTURE_TYPES[self._config['depth_transport']]
            self._listen(kind, 'camera/depth/image_raw' + suffix, self._on_depth)
            self.create_timer(0.005, self._health.guarded(self._release),
                              clock=Clock(clock_type=ClockType.STEADY_TIME))
        if self._bundle.metadata.proprio_dim:
            self._listen(Float32MultiArray, 'proprio', self._on_proprio)

    def _listen(self, kind: type, topic: str, callback: object) -> None:
        self.create_subscription(kind, topic, self._health.guarded(callback), qos.sensor(),
                                 qos_overriding_options=qos.overridable())

    def _on_picture(self, msg: Image | CompressedImage) -> None:
        arrived_ns = time.monotonic_ns()
        self._counts['frames_in'] += 1
        stamp_ns = ns_from_time(msg.header.stamp)
        if stamp_ns == 0:
            self._health.report('no stamp', 'pictures carry no stamp; the time of arrival is '
                                'taken: let the camera driver stamp them')
            stamp_ns = self.get_clock().now().nanoseconds
            msg.header.stamp = time_from_ns(stamp_ns)
        if self._is_stale(stamp_ns):
            return
        if not self._limiter.admit(stamp_ns):
            self._counts['frames_over_rate'] += 1
            return
        frame = _Frame(msg, stamp_ns, arrived_ns)
        if not self._bundle.metadata.uses_depth:
            self._hand_over(frame, None)
            return
        self._counts['frames_dropped'] += not self._pairing.add_color(stamp_ns, frame)
        self._release()

    def _is_stale(self, stamp_ns: int) -> bool:
        step = self._order.follow(stamp_ns)
        if step is Step.JUMPED_BACK:
            self._health.report('time jump', 'pictures: time ran backwards (a looped bag or a '
                                'reset clock); going on from there')
            self._apply_rate()
        stale = step in (Step.REPEATED, Step.LATE)
        self._counts['frames_stale'] += stale
        return stale

    def _on_depth(self, msg: Image | CompressedImage) -> None:
        self._pairing.add_depth(ns_from_time(msg.header.stamp), msg)
        self._release()

    def _on_proprio(self, msg: Float32MultiArray) -> None:
        self._proprio = msg, time.monotonic_ns()

    def _recent_proprio(self, picture_ns: int) -> Vector | None:
        """What came at most PROPRIO_TIMEOUT_SEC before the picture did, or None."""
        if self._proprio is None:
            return None
        msg, arrived_ns = self._proprio
        if picture_ns - arrived_ns > PROPRIO_TIMEOUT_SEC * 1e9:
            self._health.report('old proprio', 'the last message on proprio is more than '
                                f'{PROPRIO_TIMEOUT_SEC:g} s old; pictures are encoded without')
            return None
        return proprio_from_msg(msg)

    def _release(self) -> None:
        pair = self._pairing.take()
        if pair is not None:
            self._counts['frames_without_depth'] += pair[1] is None
            self._hand_over(*pair)

    def _hand_over(self, frame: _Frame, depth: Image | CompressedImage | None) -> None:
        self._counts['frames_dropped'] += not self._worker.put((frame, depth))

    def _encode(self, item: tuple[_Frame, Image | CompressedImage | None]) -> None:
        frame, depth = item
        picture, z = self._latent(frame.msg, None if depth is None else depth_from_msg(depth),
                                  self._recent_proprio(frame.arrived_ns))
        thumbnail = jpeg_from_rgb(picture, self._config['thumbnail_quality'])
        self._stamped.publish(
            msg_from_latent(z, frame.msg.header, self._bundle.model_id, thumbnail))
        self._plain.publish(array_from_vector(z))
        now_ns = time.monotonic_ns()
        self._rate.tick(now_ns)
        self._latency_ms.add((now_ns - frame.arrived_ns) / 1e6)

    def _latent(self, msg: Image | CompressedImage, depth_m: DepthMap | None = None,
                proprio: Vector | None = None) -> tuple[Rgb, Vector]:
        """The picture as the encoder sees it, and its latent; from any thread."""
        picture = self._bundle.resize(rgb_from_msg(msg))
        return picture, self._bundle.encode_image(picture, depth_m, proprio)

    async def _serve(self, request: EncodeImage.Request,
                     response: EncodeImage.Response) -> EncodeImage.Response:
        meta = self._bundle.metadata
        if meta.uses_depth or meta.proprio_dim:
            response.code = response.NOT_ALONE
            response.message = (f'model {meta.model_id} also takes depth or proprioception; a '
                                'picture alone does not tell where it was taken')
            return response
        try:
            _, z = await self._service_threads.run(self._latent, request.image)
            response.latent, response.model_id = floats_from_vector(z), meta.model_id
        except InputError as error:
            response.code, response.message = response.INVALID_IMAGE, str(error)
        return response

    def _figures(self) -> dict[str, object]:
        p50, p99 = self._latency_ms.percentiles()
        return {'latent_hz': self._rate.rate_hz(time.monotonic_ns()),
                'image_to_latent_ms_p50': p50, 'image_to_latent_ms_p99': p99,
                'latents': self._rate.count, **self._counts, 'model_id': self._bundle.model_id,
                'trained': self._bundle.metadata.trained}

    def close(self) -> None:
        """End the threads."""
        self._service_threads.close()
        self._worker.close()
