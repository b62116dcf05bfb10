"""Shows the memory and the present moment in RViz."""

from __future__ import annotations

import contextlib
from functools import partial
import time
from typing import Any

from spatial_rag_core.errors import JournalDamagedError, OlderSchemaError
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.metrics import LatencyWindow
from spatial_rag_core.streams.motion import MotionActions
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.view.chunk_schedule import ChunkSchedule
from spatial_rag_core.view.drawn_memory import DrawnMemory
from spatial_rag_nodes import qos, shared_parameters
from spatial_rag_nodes.health import ERROR
from spatial_rag_nodes.health_checks import Finding
from spatial_rag_nodes.live_moment import DerivedActions, MomentInputs, PolledActions
from spatial_rag_nodes.managed_node import ManagedNode
from spatial_rag_nodes.memory_markers import MemoryMarkers
from spatial_rag_nodes.moment_publisher import MomentPublisher
from spatial_rag_nodes.motion_inputs import (
    ACTION_PARAMETERS,
    check_pose_source,
    POSE_PARAMETERS,
    subscribe_pose,
)
from spatial_rag_nodes.parameters import Parameter
from spatial_rag_nodes.periodic_worker import PeriodicWorker

from rclpy.event_handler import PublisherEventCallbacks
from visualization_msgs.msg import MarkerArray

_STEP_SEC = 0.2
"""Of a model that is not there: motion is derived over so long."""


def _parameters(settings: Settings) -> tuple[Parameter, ...]:
    return (
        *shared_parameters.START,
        shared_parameters.MEMORY_PATH,
        *shared_parameters.model(settings),
        shared_parameters.z_dim(settings),
        shared_parameters.action_dim(settings),
        *POSE_PARAMETERS,
        *ACTION_PARAMETERS,
        Parameter('publish_rate', 2.0, 'How often markers and pictures are published', 'Hz',
                  0.1, 30.0),
        Parameter('marker_bytes_per_sec', 150_000.0, 'Points and cells of the memory take at most '
                  'so much; more of them wait', 'B/s', 10_000.0, 1e9),
        Parameter('resend_period_sec', 120.0, 'Points and cells are sent again so long after, for '
                  'a display that was reset; whoever subscribes gets all at once', 's', 1.0, 1e6),
        Parameter('marker_scale', 1.0, 'Points and lines are so many times as large: 0.3 for a '
                  'camera in the hand, 5 outdoors', '', 0.01, 100.0),
        Parameter('path_steps', 15, 'Steps of the model that the predicted path has', '', 1, 200),
    )


class VisualizerNode(ManagedNode):
    """
    Publishes spatial_rag/markers, spatial_rag/predicted_path and pictures in spatial_rag/view.

    One thread takes in the memory file, as the retriever does, looks at the topics, and draws;
    nothing wakes the node in between. What nobody subscribes to is not made.
    """

    def __init__(self) -> None:
        super().__init__('visualizer', _parameters(Settings.from_environment()))

    def configure(self) -> None:
        """Load the bundle, open the memory; offer topics."""
        config = self.config
        if config['action_source'] == 'motion':
            check_pose_source(config)
        path, frame = shared_parameters.memory_path(config), config['map_frame']
        self._drawn: DrawnMemory | None = None
        self._bundle = self._load_bundle()
        self._retriever = Retriever(path, self._draw_anew, frame)
        self.at_end(partial(self._retriever.close, 0.0))  # the drawing has waited for it
        with contextlib.suppress(OlderSchemaError, JournalDamagedError):
            self._retriever.open()  # these the writer may mend; until then each refresh tells them
        publisher = self.create_lifecycle_publisher(
            MarkerArray, 'spatial_rag/markers', qos.stream(),
            event_callbacks=PublisherEventCallbacks(matched=self._on_matched))
        self._memory = MemoryMarkers(
            publisher, frame, config['marker_scale'], lambda: ChunkSchedule(
                config['marker_bytes_per_sec'], config['resend_period_sec']))
        self._present = MomentPublisher(self, publisher, self._retriever, self._bundle, frame,
                                        config['path_steps'], config['marker_scale'])
        self._draw_ms = LatencyWindow()
        self.keep(self.health.check('damage', self._find_damage))
        self.get_logger().info(f'drawing {path}')

    def activate(self) -> None:
        """Listen, and draw."""
        looks_back = (0, _STEP_SEC) if self._bundle is None else (
            self._bundle.metadata.history, self._bundle.metadata.step_sec)
        self._inputs = MomentInputs(self, self.config['z_dim'], looks_back,
                                    self._make_actions(looks_back[1]).at)
        self.keep(PeriodicWorker(self._draw, 1.0 / self.config['publish_rate'], 'drawing',
                                 interrupt=partial(self._retriever.close, 0.05)))

    def _load_bundle(self) -> Bundle | None:
        config = self.config
        if not config['model_path']:
            self.get_logger().info('no model_path: nothing is decoded, and no path predicted')
            return None
        return Bundle.load(
            shared_parameters.model_path(config), z_dim=config['z_dim'],
            action_dim=config['action_dim'], device=config['device'],
            num_threads=config['num_threads'])

    def _make_actions(self, step_sec: float) -> PolledActions | DerivedActions:
        config = self.config
        if config['action_source'] != 'motion':
            return PolledActions(self, config['action_source'], config['action_dim'],
                                 config['action_timeout_sec'])
        poses = PoseBuffer(tolerance_sec=config['pose_tolerance_sec'])
        derived = DerivedActions(MotionActions(
            poses, config['action_dim'], config['pose_axes'], window_sec=step_sec), poses)
        subscribe_pose(self, self.health, config, derived.take_pose)
        return derived

    def _draw_anew(self, spec: JournalSpec) -> DrawnMemory:
        """Make what the retriever fills from now on: the file was opened, or is another one."""
        self._drawn = DrawnMemory(spec)
        return self._drawn

    def _on_matched(self, event: Any) -> None:
        if event.current_count_change > 0:
            self._memory.welcome()

    def _draw(self) -> None:
        """Runs in its own thread; what fails keeps nothing else from being shown."""
        begun = time.perf_counter()
        for work in (self._retriever.refresh, self._show_memory, self._show_present):
            self.health.guarded(work)()
        self._draw_ms.add((time.perf_counter() - begun) * 1e3)

    def _show_memory(self) -> None:
        self._memory.show(self._drawn)

    def _show_present(self) -> None:
        if self._present.is_watched and (live := self._inputs.newest()) is not None:
            self._present.show(live)

    def _find_damage(self) -> Finding | None:
        damage = self._retriever.damage
        return None if damage is None else Finding(f'{self._retriever.path}: {damage}', ERROR)

    def figures(self) -> dict[str, object]:
        """For /diagnostics."""
        p50, p99 = self._draw_ms.percentiles()
        drawn = self._drawn
        return {'memories_drawn': 0 if drawn is None else drawn.count,
                'cells_drawn': 0 if drawn is None else drawn.cell_count,
                'markers_waiting': self._memory.waiting, 'markers_sent': self._memory.sent,
                'marker_bytes_sent': self._memory.sent_bytes, 'draw_ms_p50': p50,
                'draw_ms_p99': p99, 'memory_path': self._retriever.path}
