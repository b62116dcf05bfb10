"""The encoder as a process: pictures in, latents out, bad pictures refused."""

from __future__ import annotations

from pathlib import Path
import struct
import time
from typing import Any

from spatial_rag_core.errors import ServiceUnavailableError
from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.settings import Settings
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_msgs.srv import EncodeImage
from spatial_rag_nodes.answers import coded
from spatial_rag_nodes.conversions import array_from_vector, ns_from_time, time_from_ns
from spatial_rag_nodes.encoder_node import PROPRIO_TIMEOUT_SEC
from spatial_rag_nodes.images import image_from_depth
from spatial_rag_nodes.service_threads import BusyError
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

import cv2
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32MultiArray, Header
import torch

pytestmark = pytest.mark.ros

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000


def picture(seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (64, 64), interpolation=cv2.INTER_LINEAR)


def image(rgb: np.ndarray, stamp_ns: int, **changes: Any) -> Image:
    height, width, _ = rgb.shape
    fields = {'height': height, 'width': width, 'encoding': 'rgb8', 'step': width * 3,
              'data': rgb.tobytes()}
    header = Header(stamp=time_from_ns(stamp_ns), frame_id='camera_optical')
    return Image(header=header, **{**fields, **changes})


class Rig:
    """An encoder with the probe's topics around it."""

    def __init__(self, lab: Any, kind: type, topic: str, **parameters: object) -> None:
        self.probe, self.diagnostics = lab.probe, lab.diagnostics
        self.stamped = self.probe.listen(LatentStamped, '/spatial_rag/latent')
        self.plain = self.probe.listen(Float32MultiArray, '/latent')
        lab.start_node('encoder_node', **parameters)
        self.camera = self.probe.publisher(kind, topic)
        self.stamp_ns = T0_NS

    def send_until_answered(self, message: Any) -> LatentStamped:
        """Publish it, with a new stamp each time, until a latent of such a stamp is back."""
        first_ns = self.stamp_ns

        def publish() -> bool:
            self.stamp_ns += STEP_NS
            message.header.stamp = time_from_ns(self.stamp_ns)
            self.camera.publish(message)
            self.probe.spin(0.06)
            return bool(self.answers_after(first_ns))
        self.probe.until(publish)
        return self.answers_after(first_ns)[0]

    def counts_after(self, answer: LatentStamped) -> dict[str, str]:
        """What the encoder says of itself once this latent, its newest, is in it."""
        assert answer is self.stamped[-1]
        since = len(self.diagnostics.statuses('encoder'))
        self.probe.until(lambda: len(self.diagnostics.statuses('encoder')) > since)
        return {item.key: item.value for item in self.diagnostics.statuses('encoder')[-1].values}

    def answers_after(self, stamp_ns: int) -> list[LatentStamped]:
        return [msg for msg in self.stamped if ns_from_time(msg.header.stamp) > stamp_ns]


@pytest.fixture(scope='module')
def rig(module_lab: Any, bundle_path: Path) -> Rig:
    rig = Rig(module_lab, Image, '/camera/image_raw', model_path=bundle_path)
    rig.send_until_answered(image(picture(), 0))
    return rig


def test_a_latent_carries_its_frames_stamp_author_picture_and_the_layout_of_the_contract(
        rig: Rig, bundle_path: Path) -> None:
    answer = rig.send_until_answered(image(picture(3), 0))
    bundle = Bundle.load(bundle_path)
    assert answer.header.frame_id == 'camera_optical'
    assert answer.model_id == bundle.model_id
    np.testing.assert_allclose(answer.z, bundle.encode_image(picture(3)), atol=1e-5)
    thumbnail = cv2.imdecode(np.frombuffer(answer.thumbnail, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(thumbnail[..., ::-1].astype(int) - picture(3)).mean() < 6
    rig.probe.until(lambda: len(rig.plain) == len(rig.stamped))
    plain = rig.plain[-1]
    (dimension,) = plain.layout.dim
    assert (dimension.label, dimension.size, dimension.stride) == ('z', 32, 32)
    assert plain.layout.data_offset == 0
    assert list(plain.data) == list(answer.z)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'step': 100}, 'step 100'),
    ({'encoding': 'nonsense'}, "'nonsense'"),
    ({'height': 0, 'width': 0, 'step': 0, 'data': b''}, '0x0 px'),
    ({'data': b'short'}, '5 bytes'),
])
def test_a_bad_picture_is_refused_in_one_line_and_the_next_one_is_encoded(
        rig: Rig, changes: dict[str, Any], reason: str) -> None:
    for _ in range(5):
        rig.stamp_ns += STEP_NS
        rig.camera.publish(image(picture(), rig.stamp_ns, **changes))
        rig.probe.spin(0.06)
    values = rig.diagnostics.wait(
        'encoder', lambda status, _: status.level == b'\x01' and reason in status.message)
    assert int(values['problem ImageError']) >= 1
    rig.send_until_answered(image(picture(), 0))


def encode(rig: Rig, message: Image) -> EncodeImage.Response:
    return rig.probe.call(EncodeImage, '/spatial_rag/encode_image',
                          EncodeImage.Request(image=message))


def test_a_picture_that_is_asked_about_gets_the_latent_that_the_stream_would_give_it(
        rig: Rig) -> None:
    large = cv2.resize(picture(4), (640, 480))
    streamed = rig.send_until_answered(image(large, 0))
    count = len(rig.stamped)
    answer = encode(rig, image(large, 0))
    assert (answer.code, answer.message) == (answer.OK, '')
    assert (answer.model_id, list(answer.latent)) == (streamed.model_id, list(streamed.z))
    rig.send_until_answered(image(picture(), 0))
    assert len(rig.stamped) == count + 1, 'what was asked about is not in the stream'


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'encoding': 'nonsense'}, "'nonsense'"), ({'data': b'short'}, '5 bytes'),
    ({'height': 0, 'width': 0, 'step': 0, 'data': b''}, '0x0 px'),
    ({'height': 40_000, 'width': 40_000, 'step': 40_000, 'data': b''}, '40000x40000 px')])
def test_a_bad_picture_that_is_asked_about_is_refused_with_the_reason(
        rig: Rig, changes: dict[str, Any], reason: str) -> None:
    answer = encode(rig, image(picture(), 0, **changes))
    assert answer.code == answer.INVALID_IMAGE
    assert reason in answer.message
    assert not len(answer.latent)


def test_the_stream_goes_on_while_pictures_are_asked_about(rig: Rig) -> None:
    before = rig.counts_after(rig.send_until_answered(image(picture(), 0)))
    client = rig.probe.node.create_client(EncodeImage, '/spatial_rag/encode_image')
    rig.probe.until(client.service_is_ready)
    large = image(cv2.resize(picture(), (640, 480)), 0)
    asked, first_ns = [], rig.stamp_ns

    def is_room() -> bool:  # the middleware keeps ten requests; more are lost on a slow machine
        return len(asked) - sum(future.done() for future in asked) < 6
    for number in range(20):
        rig.probe.until(is_room)
        asked += [client.call_async(EncodeImage.Request(image=large)) for _ in range(3)]
        rig.send_until_answered(image(picture(number), 0))
    rig.probe.until(lambda: all(future.done() for future in asked))
    assert {future.result().code for future in asked} == {EncodeImage.Response.OK}
    after = rig.counts_after(rig.send_until_answered(image(picture(), 0)))
    again = (rig.stamp_ns - first_ns) // STEP_NS - 21
    assert again < 20, 'each frame had to be sent twice'
    dropped = int(after['frames_dropped']) - int(before['frames_dropped'])
    assert dropped <= again, 'a frame is dropped for one that was sent before it was answered'


def test_repeated_and_late_frames_are_not_encoded_and_a_loop_goes_on(rig: Rig) -> None:
    rig.send_until_answered(image(picture(), 0))
    count = len(rig.stamped)
    for back_ns in (0, 100_000_000):  # the same frame again, and one that is late
        rig.camera.publish(image(picture(), rig.stamp_ns - back_ns))
    rig.diagnostics.wait('encoder', lambda _, values: int(values['frames_stale']) >= 2)
    assert len(rig.stamped) == count
    rig.stamp_ns -= 100 * STEP_NS  # a looped bag
    rig.camera.publish(image(picture(), rig.stamp_ns))
    rig.probe.until(lambda: ns_from_time(rig.stamped[-1].header.stamp) == rig.stamp_ns)
    rig.diagnostics.wait('encoder', lambda status, _: 'ran backwards' in status.message)


def test_pictures_without_a_stamp_get_the_time_of_arrival(rig: Rig) -> None:
    count = len(rig.stamped)
    rig.camera.publish(image(picture(), 0))
    rig.probe.until(lambda: len(rig.stamped) > count)
    rig.stamp_ns = ns_from_time(rig.stamped[-1].header.stamp)
    assert abs(rig.stamp_ns / 1e9 - time.time()) < 60
    rig.diagnostics.wait('encoder', lambda status, _: 'no stamp' in status.message)


@pytest.mark.parametrize('pause_sec', [0.002, 0.03], ids=['fast replay', 'slow replay'])
def test_a_fast_camera_is_cut_to_the_publish_rate_of_its_own_time_at_any_speed_of_replay(
        rig: Rig, pause_sec: float) -> None:
    before = rig.counts_after(rig.send_until_answered(image(picture(), 0)))
    for number in range(60):
        rig.stamp_ns += 10_000_000
        rig.camera.publish(image(picture(number), rig.stamp_ns))
        rig.probe.spin(pause_sec)
    after = rig.diagnostics.wait('encoder', lambda _, values: int(values['frames_in']) >= int(
        before['frames_in']) + 60)
    over = int(after['frames_over_rate']) - int(before['frames_over_rate'])
    assert over == pytest.approx(48, abs=2)  # 12 of 60 in 0.6 s of their own time


def test_of_the_frames_that_queued_up_in_a_stall_the_newest_is_encoded(rig: Rig) -> None:
    before = rig.counts_after(rig.send_until_answered(image(picture(), 0)))
    for number in range(8):
        rig.stamp_ns += STEP_NS
        rig.camera.publish(image(picture(number), rig.stamp_ns))
    rig.probe.until(lambda: ns_from_time(rig.stamped[-1].header.stamp) == rig.stamp_ns)
    after = rig.diagnostics.wait('encoder', lambda _, values: int(values['frames_in']) == int(
        before['frames_in']) + 8)
    assert after['frames_over_rate'] == before['frames_over_rate']
    assert sum(int(after[name]) - int(before[name])
               for name in ('latents', 'frames_dropped')) == 8


def test_jpeg_pictures_give_the_latents_of_their_pixels(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, CompressedImage, '/camera/image_raw/compressed', model_path=bundle_path,
              image_transport='compressed', thumbnail_quality=0)
    data = cv2.imencode('.png', picture(5)[..., ::-1])[1].tobytes()
    answer = rig.send_until_answered(CompressedImage(format='png', data=data))
    np.testing.assert_allclose(
        answer.z, Bundle.load(bundle_path).encode_image(picture(5)), atol=1e-5)
    assert not len(answer.thumbnail)
    rig.camera.publish(CompressedImage(
        header=Header(stamp=time_from_ns(rig.stamp_ns + STEP_NS)), format='jpeg',
        data=b'not a jpeg'))
    rig.stamp_ns += STEP_NS
    rig.diagnostics.wait('encoder', lambda status, _: 'does not decode' in status.message)
    rig.send_until_answered(CompressedImage(format='png', data=data))


def test_it_listens_and_speaks_only_on_the_topics_of_the_contract(rig: Rig) -> None:
    names = {name for name, _ in rig.probe.node.get_topic_names_and_types()}
    assert names == {'/camera/image_raw', '/diagnostics', '/latent', '/spatial_rag/latent',
                     '/encoder/transition_event',
                     '/parameter_events', '/rosout'}


def _broken_models(folder: Path, bundle_path: Path) -> dict[str, tuple[Path | str, str]]:
    truncated, text = folder / 'truncated.pt', folder / 'text.pt'
    truncated.write_bytes(bundle_path.read_bytes()[:100_000])
    text.write_text('hello')
    other = folder / 'z16.pt'
    create_untrained_bundle(other, Settings(z_dim=16))
    return {'missing': (folder / 'no.pt', 'spatial-rag bundle create-untrained'),
            'truncated': (truncated, 'truncated.pt'), 'text': (text, 'text.pt'),
            'z16': (other, 'z_dim 16'), 'none': ('', 'model_path')}


@pytest.mark.parametrize(('node', 'case'), [
    ('encoder_node', 'missing'), ('encoder_node', 'truncated'), ('encoder_node', 'z16'),
    ('transition_predictor_node', 'text'), ('transition_predictor_node', 'none')])
def test_a_model_that_cannot_be_used_ends_the_start_with_code_1_and_the_remedy(
        lab: Any, tmp_path: Path, bundle_path: Path, case: str, node: str) -> None:
    path, remedy = _broken_models(tmp_path, bundle_path)[case]
    process = lab.start_node(node, exit_on_failure=True,
                             **({'model_path': path} if path else {}))
    assert process.wait() == 1
    assert process.output.count('\n') == 1
    assert process.output.startswith('[FATAL] cannot start: ')
    assert remedy in process.output


@pytest.fixture(scope='module')
def sensing_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that also takes depth and two numbers of proprioception."""
    path = tmp_path_factory.mktemp('bundle') / 'depth.pt'
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig(
        EncoderConfig('tiny', 32, 64, use_depth=True, proprio_dim=2), TransitionConfig(32, 2)))
    save_bundle(model.eval(), path, trained=False, training={})
    return path


RAW_DEPTH = np.linspace(2000, 30_000, 64 * 64).astype(np.uint16).reshape(64, 64)
DEPTH = (10100 / (RAW_DEPTH + 1009)).astype(np.float32)


def _depth_picture(transport: str) -> tuple[str, Image | CompressedImage]:
    """DEPTH and its topic."""
    if transport == 'raw':
        return '/camera/depth/image_raw', image_from_depth(DEPTH, Header())
    data = struct.pack('<iff', 0, 10100, -1009) + cv2.imencode('.png', RAW_DEPTH)[1].tobytes()
    return '/camera/depth/image_raw/compressedDepth', CompressedImage(
        format='32FC1; compressedDepth png', data=data)


@pytest.mark.parametrize('transport', ['raw', 'compressedDepth'])
def test_depth_of_the_same_moment_and_proprioception_go_into_the_latent(
        lab: Any, sensing_bundle: Path, transport: str) -> None:
    topic, depth_msg = _depth_picture(transport)
    lab.start_node('encoder_node', model_path=sensing_bundle, depth_wait_sec=1.0,
                   depth_transport=transport)
    stamped = lab.probe.listen(LatentStamped, '/spatial_rag/latent')
    camera = lab.probe.publisher(Image, '/camera/image_raw')
    depth_camera = lab.probe.publisher(type(depth_msg), topic)
    proprio = lab.probe.publisher(Float32MultiArray, '/proprio')
    stamp_ns = T0_NS

    def send() -> bool:
        nonlocal stamp_ns
        stamp_ns += 200_000_000
        proprio.publish(array_from_vector(np.float32([0.4, -0.1]), 'proprio'))
        lab.probe.spin(0.1)
        camera.publish(image(picture(1), stamp_ns))
        lab.probe.spin(0.05)
        depth_msg.header.stamp = time_from_ns(stamp_ns + 1_000_000)
        depth_camera.publish(depth_msg)
        lab.probe.spin(0.1)
        values = [item.value for status in lab.diagnostics.statuses('encoder')[-1:]
                  for item in status.values if item.key == 'frames_without_depth']
        return len(stamped) >= 3 and bool(values)
    lab.probe.until(send)
    bundle = Bundle.load(sensing_bundle)
    expected = bundle.encode_image(picture(1), DEPTH, [0.4, -0.1])
    assert np.linalg.norm(expected - bundle.encode_image(picture(1), None, [0.4, -0.1])) > 1e-3
    assert np.linalg.norm(expected - bundle.encode_image(picture(1), DEPTH)) > 1e-3
    np.testing.assert_allclose(stamped[-1].z, expected, atol=1e-5)


def test_proprioception_is_used_for_a_second_and_then_no_more(
        lab: Any, sensing_bundle: Path) -> None:
    rig = Rig(lab, Image, '/camera/image_raw', model_path=sensing_bundle)
    bundle = Bundle.load(sensing_bundle)
    fresh = bundle.encode_image(picture(1), None, [0.4, -0.1])
    without = bundle.encode_image(picture(1))
    assert np.linalg.norm(fresh - without) > 1e-3
    proprio = lab.probe.publisher(Float32MultiArray, '/proprio')
    sent_sec = 0.0

    def is_fresh() -> bool:
        nonlocal sent_sec
        sent_sec = time.monotonic()
        proprio.publish(array_from_vector(np.float32([0.4, -0.1]), 'proprio'))
        return is_answered_with(fresh)

    def is_answered_with(expected: np.ndarray) -> bool:
        answer = rig.send_until_answered(image(picture(1), 0))
        return np.allclose(answer.z, expected, atol=1e-5)
    lab.probe.until(is_fresh)
    lab.probe.until(lambda: is_answered_with(without))
    assert time.monotonic() - sent_sec > PROPRIO_TIMEOUT_SEC
    rig.diagnostics.wait('encoder', lambda status, _: 'proprio is more than 1 s' in status.message)


def test_without_depth_a_picture_is_encoded_alone_after_its_wait_and_counted(
        lab: Any, sensing_bundle: Path) -> None:
    rig = Rig(lab, Image, '/camera/image_raw', model_path=sensing_bundle)
    answer = rig.send_until_answered(image(picture(1), 0))
    np.testing.assert_allclose(
        answer.z, Bundle.load(sensing_bundle).encode_image(picture(1)), atol=1e-5)
    rig.diagnostics.wait('encoder', lambda _, values: int(values['frames_without_depth']) >= 1)
    answer = encode(rig, image(picture(1), 0))
    assert answer.code == answer.NOT_ALONE
    assert 'depth or proprioception' in answer.message


def test_an_inactive_encoder_says_so_and_blames_no_picture(lab: Any, bundle_path: Path) -> None:
    lab.start_node('encoder_node', model_path=bundle_path, autostart=False)
    request = ChangeState.Request(transition=Transition(label='configure'))
    assert lab.probe.call(ChangeState, '/encoder/change_state', request, 60.0).success
    with (SpatialRagClient(lab.probe.node, timeout_sec=60.0) as client,
          pytest.raises(ServiceUnavailableError, match='/encoder is inactive')):
        client.encode(picture())


def test_a_busy_encoder_blames_no_picture() -> None:
    answer = EncodeImage.Response()
    with coded(answer):
        raise BusyError('50 requests wait already; ask again later')
    assert answer.code == answer.MODEL_UNAVAILABLE


def test_a_camera_that_falls_silent_and_one_that_comes_back_are_told(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, Image, '/camera/image_raw', model_path=bundle_path)
    rig.send_until_answered(image(picture(), 0))
    lab.diagnostics.wait('encoder', lambda status, _: (
        status.level == b'\x01' and 'no picture on /camera/image_raw for' in status.message))
    first = len(lab.diagnostics.statuses('encoder'))

    def is_well() -> bool:
        rig.send_until_answered(image(picture(), 0))
        return 'ok' in [status.message for status in lab.diagnostics.statuses('encoder')[first:]]
    lab.probe.until(is_well)


def test_encoding_slower_than_the_budget_is_told(lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, Image, '/camera/image_raw', model_path=bundle_path, latency_budget_sec=0.001)
    rig.send_until_answered(image(cv2.resize(picture(), (1280, 960)), 0))

    def is_told() -> bool:
        rig.send_until_answered(image(cv2.resize(picture(), (1280, 960)), 0))
        return any('encoding a picture took' in status.message and status.level == b'\x01'
                   for status in lab.diagnostics.statuses('encoder'))
    lab.probe.until(is_told)


def test_an_encoder_whose_latents_are_all_the_same_is_told(lab: Any, tmp_path: Path) -> None:
    model = WorldModel(WorldModelConfig(EncoderConfig(), TransitionConfig()))
    with torch.no_grad():
        for name, weights in model.encoder.named_parameters():
            if name.endswith('weight'):
                weights.zero_()
    save_bundle(model.eval(), tmp_path / 'dead.pt', trained=False, training={})
    rig = Rig(lab, Image, '/camera/image_raw', model_path=tmp_path / 'dead.pt',
              publish_rate=2.0)

    def is_told() -> bool:
        rig.stamp_ns += 10 * STEP_NS
        rig.camera.publish(image(picture(rig.stamp_ns // STEP_NS), rig.stamp_ns))
        rig.probe.spin(0.05)
        return any('the latent has collapsed' in status.message and status.level == b'\x02'
                   for status in lab.diagnostics.statuses('encoder'))
    lab.probe.until(is_told)
