"""Turns camera pictures into latents."""

from __future__ import annotations

import time
from typing import NamedTuple

from spatial_rag_core.data.pictures import jpeg_from_rgb
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import Vector
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.frame_pairing import FramePairing
from spatial_rag_core.streams.latent_spread import LatentSpread
from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.newest_first import NewestFirstWorker
from spatial_rag_core.streams.rate_limiter import RateLimiter
from spatial_rag_core.streams.stamp_order import StampOrder, Step
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_msgs.srv import EncodeImage
from spatial_rag_nodes import encoder_parameters, qos, shared_parameters
from spatial_rag_nodes.answers import coded
from spatial_rag_nodes.conversions import (
    array_from_vector,
    floats_from_vector,
    msg_from_latent,
    ns_from_time,
    proprio_from_msg,
    time_from_ns,
)
from spatial_rag_nodes.health import ERROR
from spatial_rag_nodes.health_checks import (
    Drops,
    Find,
    Finding,
    Silence,
    TimeJumps,
    TooSlow,
)
from spatial_rag_nodes.images import depth_from_msg, DepthMap, Rgb, rgb_from_msg
from spatial_rag_nodes.managed_node import ManagedNode
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


_parameters = encoder_parameters.declared


class _Frame(NamedTuple):
    """A picture that was let through, and when it came (monotonic clock)."""

    msg: Image | CompressedImage
    stamp_ns: int
    arrived_ns: int


class EncoderNode(ManagedNode):
    """Publishes latent and spatial_rag/latent for camera/image_raw; serves encode_image."""

    def __init__(self) -> None:
        super().__init__('encoder', _parameters(Settings.from_environment()))

    def configure(self) -> None:
        """Load the bundle; offer topics and service."""
        config = self.config
        self._bundle = Bundle.load(
            shared_parameters.model_path(config), z_dim=config['z_dim'],
            device=config['device'], num_threads=config['num_threads'])
        self._order, self._time = StampOrder(), TimeJumps(self.health, 'pictures')
        self.follow_parameters()
        self._counts = dict.fromkeys(('frames_in', 'frames_over_rate', 'frames_stale',
                                      'frames_dropped', 'frames_without_depth'), 0)
        self._rate, self._latency_ms = RateWindow(), LatencyWindow()
        self._spread = LatentSpread()
        self._plain = self.create_lifecycle_publisher(Float32MultiArray, 'latent', qos.stream())
        self._stamped = self.create_lifecycle_publisher(
            LatentStamped, 'spatial_rag/latent', qos.stream())
        self._service_threads = self.keep(ServiceThreads(self, 'encode_image'))
        self._service_threads.create_service(
            EncodeImage, 'spatial_rag/encode_image', self.health, self._serve,
            EncodeImage.Response.MODEL_UNAVAILABLE)
        self._tell_model()

    def _tell_model(self) -> None:
        meta = self._bundle.metadata
        about = f'{meta.architecture} model {meta.model_id} on {self._bundle.device}'
        if meta.trained:
            self.get_logger().info(about)
        else:
            self.get_logger().warning(f'{about} is UNTRAINED: its latents tell pictures apart, '
                                      'its predictions and decoded pictures mean nothing')

    def activate(self) -> None:
        """Listen, and look after what comes."""
        self._pairing: FramePairing[_Frame, Image | CompressedImage] = FramePairing(
            self.config['depth_tolerance_sec'], self.config['depth_wait_sec'])
        self._proprio: tuple[Float32MultiArray, int] | None = None
        self._worker = self.keep(
            NewestFirstWorker(self.health.guarded(self._encode), 'encoder'))
        kind, suffix = PICTURE_TYPES[self.config['image_transport']]
        topic = 'camera/image_raw' + suffix
        self._camera = Silence(self, topic, 'picture', 'start the camera driver, or remap '
                               f'{topic}, or set image_transport')
        for name, find in self._checks():
            self.keep(self.health.check(name, find))
        self._listen(kind, topic, self._on_picture)
        self._listen_to_the_rest()

    def _checks(self) -> tuple[tuple[str, Find], ...]:
        return (
            ('silent camera', self._camera),
            ('slow', TooSlow(self._latency_ms, self._rate,
                             lambda: self.config['latency_budget_sec'], 'encoding a picture',
                             'lower publish_rate, take a smaller model or device cuda, or leave '
                             'this machine more room')),
            ('drops', Drops(lambda: self._counts['frames_dropped'], 'pictures were dropped',
                            'encoding is slower than they come; lower publish_rate')),
            ('collapse', self._find_collapse))

    def _find_collapse(self) -> Finding | None:
        told = self._spread.collapse()
        return None if told is None else Finding(told, ERROR)

    def follow_parameters(self) -> None:
        """Begin a new grid: the rate is another, or time is."""
        self._limiter = RateLimiter(self.config['publish_rate'])

    def _listen_to_the_rest(self) -> None:
        """Depth and proprioception, where the model takes them."""
        if self._bundle.metadata.uses_depth:
            kind, suffix = PICTURE_TYPES[self.config['depth_transport']]
            self._listen(kind, 'camera/depth/image_raw' + suffix, self._on_depth)
            self.create_timer(0.005, self.health.guarded(self._release),
                              clock=Clock(clock_type=ClockType.STEADY_TIME))
        if self._bundle.metadata.proprio_dim:
            self._listen(Float32MultiArray, 'proprio', self._on_proprio)

    def _listen(self, kind: type, topic: str, callback: object) -> None:
        self.create_subscription(kind, topic, self.health.guarded(callback), qos.sensor(),
                                 qos_overriding_options=qos.overridable())

    def _on_picture(self, msg: Image | CompressedImage) -> None:
        arrived_ns = time.monotonic_ns()
        self._camera.heard()
        self._counts['frames_in'] += 1
        stamp_ns = ns_from_time(msg.header.stamp)
        if stamp_ns == 0:
            self.health.report('no stamp', 'pictures carry no stamp; the time of arrival is '
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
        self._time.follow(stamp_ns, step)
        if step is Step.JUMPED_BACK:
            self.follow_parameters()
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
            self.health.report('old proprio', 'the last message on proprio is more than '
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
        thumbnail = jpeg_from_rgb(picture, self.config['thumbnail_quality'])
        self._stamped.publish(
            msg_from_latent(z, frame.msg.header, self._bundle.model_id, thumbnail))
        self._plain.publish(array_from_vector(z))
        self._spread.add(frame.stamp_ns, picture, z)
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
        with coded(response):
            _, z = await self._service_threads.run(self._latent, request.image)
            response.latent, response.model_id = floats_from_vector(z), meta.model_id
        return response

    def figures(self) -> dict[str, object]:
        """For /diagnostics."""
        p50, p99 = self._latency_ms.percentiles()
        return {'latent_hz': self._rate.rate_hz(time.monotonic_ns()),
                'image_to_latent_ms_p50': p50, 'image_to_latent_ms_p99': p99,
                'latents': self._rate.count, **self._counts, 'model_id': self._bundle.model_id,
                'trained': self._bundle.metadata.trained}
