"""The encoder as a process: pictures in, latents out, bad pictures refused."""

from __future__ import annotations

from pathlib import Path
import time
from typing import Any

from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition import TransitionConfig
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.settings import Settings
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_nodes.conversions import array_from_vector, ns_from_time, time_from_ns
from spatial_rag_nodes.images import image_from_depth

import cv2
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


def test_repeated_and_late_frames_are_not_encoded_and_a_loop_goes_on(rig: Rig) -> None:
    rig.send_until_answered(image(picture(), 0))
    count = len(rig.stamped)
    for back_ns in (0, 100_000_000):  # the same frame again, and one that is late
        rig.camera.publish(image(picture(), rig.stamp_ns - back_ns))
    rig.diagnostics.wait('encoder', lambda _, values: int(values['frames_stale']) >= 2)
    assert len(rig.stamped) == count
    rig.stamp_ns -= 100 * STEP_NS  # a looped bag
    rig.send_until_answered(image(picture(), 0))
    rig.diagnostics.wait('encoder', lambda status, _: 'ran backwards' in status.message)


def test_pictures_without_a_stamp_get_the_time_of_arrival(rig: Rig) -> None:
    count = len(rig.stamped)
    rig.camera.publish(image(picture(), 0))
    rig.probe.until(lambda: len(rig.stamped) > count)
    rig.stamp_ns = ns_from_time(rig.stamped[-1].header.stamp)
    assert abs(rig.stamp_ns / 1e9 - time.time()) < 60
    rig.diagnostics.wait('encoder', lambda status, _: 'no stamp' in status.message)


def test_a_fast_camera_is_cut_to_the_publish_rate_and_counted(rig: Rig) -> None:
    before = len(rig.stamped)
    sent = 60
    for number in range(sent):
        rig.stamp_ns += 10_000_000
        rig.camera.publish(image(picture(number), rig.stamp_ns))
        rig.probe.spin(0.01)
    values = rig.diagnostics.wait(
        'encoder', lambda _, values: int(values['frames_over_rate']) > sent // 4)
    assert len(rig.stamped) - before < sent * 0.75
    assert int(values['frames_in']) >= int(values['latents']) + int(values['frames_over_rate'])


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
    process = lab.start_node(node, **({'model_path': path} if path else {}))
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
    save_bundle(model.eval(), path, topk=8, trained=False, training={})
    return path


def test_depth_of_the_same_moment_and_proprioception_go_into_the_latent(
        lab: Any, sensing_bundle: Path) -> None:
    lab.start_node('encoder_node', model_path=sensing_bundle, depth_wait_sec=1.0)
    stamped = lab.probe.listen(LatentStamped, '/spatial_rag/latent')
    camera = lab.probe.publisher(Image, '/camera/image_raw')
    depth_camera = lab.probe.publisher(Image, '/camera/depth/image_raw')
    proprio = lab.probe.publisher(Float32MultiArray, '/proprio')
    depth = np.linspace(0.5, 5.0, 64 * 64, dtype=np.float32).reshape(64, 64)
    stamp_ns = T0_NS

    def send() -> bool:
        nonlocal stamp_ns
        stamp_ns += 200_000_000
        proprio.publish(array_from_vector(np.float32([0.4, -0.1]), 'proprio'))
        lab.probe.spin(0.1)
        camera.publish(image(picture(1), stamp_ns))
        lab.probe.spin(0.05)
        header = Header(stamp=time_from_ns(stamp_ns + 1_000_000))
        depth_camera.publish(image_from_depth(depth, header))
        lab.probe.spin(0.1)
        values = [item.value for status in lab.diagnostics.statuses('encoder')[-1:]
                  for item in status.values if item.key == 'frames_without_depth']
        return len(stamped) >= 3 and bool(values)
    lab.probe.until(send)
    bundle = Bundle.load(sensing_bundle)
    expected = bundle.encode_image(picture(1), depth, [0.4, -0.1])
    assert np.linalg.norm(expected - bundle.encode_image(picture(1))) > 1e-3
    np.testing.assert_allclose(stamped[-1].z, expected, atol=1e-5)


def test_without_depth_a_picture_is_encoded_alone_after_its_wait_and_counted(
        lab: Any, sensing_bundle: Path) -> None:
    rig = Rig(lab, Image, '/camera/image_raw', model_path=sensing_bundle)
    answer = rig.send_until_answered(image(picture(1), 0))
    np.testing.assert_allclose(
        answer.z, Bundle.load(sensing_bundle).encode_image(picture(1)), atol=1e-5)
    rig.diagnostics.wait('encoder', lambda _, values: int(values['frames_without_depth']) >= 1)
