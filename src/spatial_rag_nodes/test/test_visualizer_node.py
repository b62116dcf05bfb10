"""The visualizer as a process: what an RViz that listens would draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import signal
from typing import Any

from spatial_rag_core.data.pictures import jpeg_from_rgb
from spatial_rag_core.memory.forgetting.forget import forget
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.records import Hit, Memory, MemorySelection, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.view.memory_points import POINTS_IN_CHUNK
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes.conversions import (
    msg_from_hit,
    msg_from_latent,
    msg_from_pose,
    time_from_ns,
)

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Path as PathMsg
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, Header
from visualization_msgs.msg import Marker, MarkerArray

pytestmark = pytest.mark.ros

GRID = H3Grid(LocalFrame(), 13)
T0_NS = 1_700_000_000_000_000_000
PICTURES = ('camera', 'decoded', 'decoded_next', 'best_memory')


def picture(red: int) -> bytes:
    return jpeg_from_rgb(np.full((64, 64, 3), (red, 0, 0), np.uint8), 95)


def memory(number: int, model_id: str) -> Memory:
    """One memory a second, ten a metre; latents along one axis."""
    pose = Pose(Position(number / 10, 0.0, 1.0))
    vector = np.zeros(32, np.float32)
    vector[0] = number
    return Memory(new_memory_id(), vector, pose, GRID.cell(pose.position),
                  T0_NS / 1e9 + number, model_id, thumbnail=picture(10 * (number % 20)))


class Viewer:
    """What RViz would show: markers by name and number, as it treats ADD, DELETE, DELETEALL."""

    def __init__(self, probe: Any) -> None:
        self.markers: dict[tuple[str, int], Marker] = {}
        self.received: list[tuple[str, int]] = []
        self._subscription = probe.node.create_subscription(
            MarkerArray, '/spatial_rag/markers', self._take, 100)

    def _take(self, msg: MarkerArray) -> None:
        for marker in msg.markers:
            key = marker.ns, marker.id
            if marker.action == Marker.DELETEALL:
                self.markers.clear()
            elif marker.action == Marker.DELETE:
                self.markers.pop(key, None)
                self.received.append(key)
            else:
                self.markers[key] = marker
                self.received.append(key)

    def points(self, name: str) -> list[Any]:
        return [point for (ns, _), marker in sorted(self.markers.items()) if ns == name
                for point in marker.points]

    @property
    def shown(self) -> list[float]:
        return sorted(round(10 * point.x) for point in self.points('memories'))


class Rig:
    """A visualizer over memories on a line, and the nodes beside it, played by the test."""

    def __init__(self, lab: Any, bundle: Path, count: int, **parameters: object) -> None:
        self.probe, self.diagnostics = lab.probe, lab.diagnostics
        self.model_id, self.path = read_metadata(bundle).model_id, lab.folder / 'memory.db'
        self.memories = [memory(number, self.model_id) for number in range(count)]
        with Journal.open_writer(self.path, JournalSpec()) as journal:
            journal.append(self.memories)
        self.process = lab.start_node('visualizer_node', memory_path=self.path,
                                      model_path=bundle, publish_rate=10.0, **parameters)

    def viewer(self) -> Viewer:
        return Viewer(self.probe)

    def publish(self, latent: Any, predicted: Any, answers: Any, actions: Any,
                stamp_ns: int) -> None:
        """Publish a frame where memory 100 was made, for which 98 and 104 were found."""
        stamp, here = time_from_ns(stamp_ns), self.memories[100]
        actions.publish(Float32MultiArray(data=[0.5, 0.0]))
        self.probe.spin(0.05)
        header = Header(stamp=stamp, frame_id='camera_optical')
        latent.publish(msg_from_latent(here.vector, header, self.model_id, picture(255)))
        predicted.publish(msg_from_latent(here.vector + 1, header, self.model_id))
        answers.publish(RetrievedMemories(
            header=Header(stamp=stamp, frame_id='map'), model_id=self.model_id,
            pose=msg_from_pose(here.pose), pose_valid=True,
            memories=[msg_from_hit(Hit(self.memories[number], 0.0, 0.0), 'map')
                      for number in (104, 98)]))


def test_each_subscriber_gets_the_whole_memory_and_then_only_what_changed(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, 3 * POINTS_IN_CHUNK)
    first = rig.viewer()
    rig.probe.until(lambda: len(first.shown) == 3 * POINTS_IN_CHUNK)
    assert first.shown == list(range(3 * POINTS_IN_CHUNK))
    marker = first.markers['memories', 0]
    assert (marker.type, marker.header.frame_id) == (Marker.POINTS, 'map')
    assert len(marker.colors) == len(marker.points)
    cells = first.markers['cells', 0]
    assert cells.type == Marker.TRIANGLE_LIST
    assert len(cells.points) == 3 * len(cells.colors) == 12 * len(
        {memory.h3_cell for memory in rig.memories})
    assert {round(point.z, 6) for point in cells.points} == {0.98}

    late = rig.viewer()
    rig.probe.until(lambda: late.shown == first.shown)
    late.received.clear()
    with Journal.open_existing_writer(rig.path) as journal:
        journal.append([memory(3 * POINTS_IN_CHUNK, rig.model_id)])
    rig.probe.until(lambda: len(late.shown) == 3 * POINTS_IN_CHUNK + 1)
    assert [key for key in late.received if key[0] == 'memories'] == [('memories', 3)]


def test_what_was_forgotten_vanishes(lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, POINTS_IN_CHUNK + 2)
    viewer = rig.viewer()
    rig.probe.until(lambda: len(viewer.shown) == POINTS_IN_CHUNK + 2)
    with Journal.open_existing_writer(rig.path) as journal:
        forget(journal, MemorySelection(after=rig.memories[POINTS_IN_CHUNK - 1].timestamp))
    rig.probe.until(lambda: len(viewer.shown) == POINTS_IN_CHUNK - 1)
    assert ('memories', 1) not in viewer.markers


def test_a_memory_that_shrank_takes_fewer_markers_and_the_others_are_not_sent_again(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, 3 * POINTS_IN_CHUNK, resend_period_sec=1.0)
    viewer = rig.viewer()
    rig.probe.until(lambda: len(viewer.shown) == 3 * POINTS_IN_CHUNK)
    with Journal.open_existing_writer(rig.path) as journal:
        forget(journal, MemorySelection(before=rig.memories[-201].timestamp))
    rig.probe.until(lambda: viewer.shown == list(
        range(3 * POINTS_IN_CHUNK - 200, 3 * POINTS_IN_CHUNK)))
    rig.probe.until(lambda: ('memories', 2) not in viewer.markers)
    assert [key for key in viewer.markers if key[0] == 'memories'] == [('memories', 0)]
    viewer.received.clear()
    rig.probe.until(lambda: viewer.received.count(('memories', 0)) > 2)
    assert {number for name, number in viewer.received if name == 'memories'} == {0}


def test_another_file_takes_the_place_of_the_first_on_the_screen_too(
        lab: Any, bundle_path: Path, tmp_path: Path) -> None:
    rig = Rig(lab, bundle_path, POINTS_IN_CHUNK + 2)
    viewer = rig.viewer()
    rig.probe.until(lambda: len(viewer.shown) == POINTS_IN_CHUNK + 2)
    with Journal.open_writer(tmp_path / 'other.db', JournalSpec()) as journal:
        journal.append([memory(7, rig.model_id)])
    (tmp_path / 'other.db').replace(rig.path)
    rig.probe.until(lambda: viewer.shown == [7])


def test_the_present_moment_is_shown_as_lines_path_and_pictures(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, 200)
    viewer, paths = rig.viewer(), rig.probe.listen(PathMsg, '/spatial_rag/predicted_path')
    pictures = {name: rig.probe.listen(Image, f'/spatial_rag/view/{name}') for name in PICTURES}
    publishers = [rig.probe.publisher(kind, topic) for kind, topic in (
        (LatentStamped, '/spatial_rag/latent'), (LatentStamped, '/spatial_rag/latent_next'),
        (RetrievedMemories, '/spatial_rag/retrieved'), (Float32MultiArray, '/actions'))]
    stamps = iter(range(T0_NS + 10 ** 12, T0_NS + 2 * 10 ** 12, 10 ** 8))

    def are_all_there() -> bool:
        rig.publish(*publishers, next(stamps))
        return all(pictures.values()) and any(path.poses for path in paths) and (
            {('retrieved', 5), ('predicted_path', 0)} <= viewer.markers.keys())
    rig.probe.until(are_all_there)
    widest, thinner = viewer.markers['retrieved', 4], viewer.markers['retrieved', 2]
    assert [point.x for point in widest.points] == [10.0, pytest.approx(9.8)]  # 98: nearest
    assert [point.x for point in thinner.points] == [10.0, pytest.approx(10.4)]
    assert widest.scale.x > thinner.scale.x
    assert widest.lifetime.sec > 0
    assert len(viewer.markers['predicted_path', 0].points) == 15
    path = next(path for path in paths if path.poses)
    assert path.header.frame_id == 'map'
    assert len(path.poses) == 16
    assert path.poses[0].pose == msg_from_pose(rig.memories[100].pose)
    camera, best = (np.frombuffer(pictures[name][-1].data, np.uint8) for name in (
        'camera', 'best_memory'))
    assert camera[0] == pytest.approx(255, abs=5)
    assert best[0] == pytest.approx(10 * (98 % 20), abs=5)
    for images in pictures.values():
        assert (images[-1].encoding, images[-1].width, images[-1].height) == ('rgb8', 64, 64)
        assert images[-1].header.frame_id == 'camera_optical'


def test_a_node_that_was_stopped_and_started_shows_the_memory_again(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, 20)
    viewer = rig.viewer()
    rig.probe.until(lambda: len(viewer.shown) == 20)
    change = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE
    for number in change:
        answer = rig.probe.call(ChangeState, '/visualizer/change_state', ChangeState.Request(
            transition=Transition(id=number)))
        assert answer.success
        if number == change[0]:
            viewer.markers.clear()
    rig.probe.until(lambda: len(viewer.shown) == 20)


def test_no_more_is_sent_than_may_be(lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, 4 * POINTS_IN_CHUNK, marker_bytes_per_sec=10_000.0)
    viewer = rig.viewer()
    rig.probe.until(lambda: len(viewer.shown) > 0)
    values = rig.diagnostics.wait('visualizer', lambda _, found: (
        int(found['markers_waiting']) > 0 and int(found['markers_sent']) > 0))
    assert int(values['memories_drawn']) == 4 * POINTS_IN_CHUNK
    assert len(viewer.shown) < 4 * POINTS_IN_CHUNK


def test_without_a_model_and_without_a_memory_it_waits(
        start_node: Callable[..., Any], diagnostics: Any, tmp_path: Path) -> None:
    node = start_node('visualizer_node', memory_path=tmp_path / 'none.db')
    values = diagnostics.wait('visualizer', lambda status, found: (
        status.level == b'\x00' and 'memories_drawn' in found))
    assert values['memories_drawn'] == '0'
    node.signal(signal.SIGINT)
    assert node.wait() == 0
    assert 'Traceback' not in node.output


def test_a_parameter_out_of_range_is_refused_in_one_line(start_node: Callable[..., Any]) -> None:
    node = start_node('visualizer_node', publish_rate=0.0)
    assert node.wait() == 1
    assert 'publish_rate must lie between 0.1 and 30 Hz, got 0.0' in node.output
