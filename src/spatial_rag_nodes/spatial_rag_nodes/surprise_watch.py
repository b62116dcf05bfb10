"""How well the predictor foresees, as a topic and in words; whether it uses memories."""

from __future__ import annotations

from collections import deque
import math
import time

from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.models.imagined import Imagined
from spatial_rag_core.streams.memory_gate import GateConfig, LEAST_FRAMES, MemoryGate
from spatial_rag_core.streams.prediction_errors import Foreseen, PredictionErrors, Surprise
from spatial_rag_msgs.msg import Surprise as SurpriseMsg
from spatial_rag_nodes.conversions import time_from_ns
from spatial_rag_nodes.health_checks import Finding
from spatial_rag_nodes.parameters import NodeParameters, Parameter

from rclpy.publisher import Publisher
from std_msgs.msg import Header

SURPRISE_PARAMETERS = (
    Parameter('surprise_window_sec', 10.0, 'Over how long errors of predictions are summed', 's',
              0.5, 600.0),
    Parameter('leave_memory_out', True, 'Publish predictions without memories while those with '
              'them are worse over that time', live=True),
)

_LATE_OF, _MOST_LATE = 100, 10
_SILENT_SEC = 3.0  # what was late before says nothing of now


class SurpriseWatch:
    """
    Judges each prediction by the frame that it foresaw.

    publisher: of spatial_rag/surprise.
    """

    def __init__(self, publisher: Publisher, config: NodeParameters, step_sec: float,
                 model_id: str) -> None:
        self._publisher, self._config, self._model_id = publisher, config, model_id
        self._step_sec = step_sec
        self._errors = PredictionErrors(step_sec)
        self._gate = MemoryGate(GateConfig(config['surprise_window_sec']))
        self._unjudged_ns: deque[int] = deque(maxlen=LEAST_FRAMES)  # stamps, since one was
        self._late: deque[bool] = deque(maxlen=_LATE_OF)
        self._newest_sec = 0.0  # monotonic

    @property
    def uses_memory(self) -> bool:
        """Whether memories belong into what is published now."""
        return self._gate.is_open or not self._config['leave_memory_out']

    def seen(self, sample: LatentSample, header: Header) -> None:
        """A frame is in: tell how well it was foreseen."""
        surprise = self._errors.seen(sample.stamp_ns, sample.z)
        if surprise is not None:
            self._unjudged_ns.clear()
            self._gate.judge(surprise)
            self._publisher.publish(self._message(surprise, header))

    def foreseen(self, sample: LatentSample, both: Imagined, has_memories: bool,
                 was_used: bool, was_late: bool) -> None:
        """Keep a prediction with memories and one without (Bundle.foresee) to be judged."""
        if has_memories:
            self._unjudged_ns.append(sample.stamp_ns)
        self._late.append(was_late)
        self._newest_sec = time.monotonic()
        self._errors.add(Foreseen(
            sample.stamp_ns, sample.z, both.z[0, 0] if has_memories else None, both.z[1, 0],
            was_used, float(both.sigma[0 if was_used else 1, 0])))

    def _message(self, surprise: Surprise, header: Header) -> SurpriseMsg:
        window = self._gate.figures
        return SurpriseMsg(
            header=header, model_id=self._model_id,
            foreseen_from=time_from_ns(surprise.foreseen_from_ns), error=surprise.error,
            error_with_memory=surprise.with_memory,
            error_without_memory=surprise.without_memory, error_of_copying=surprise.copying,
            expected_error=surprise.expected, window_frames=window.frames,
            relative_to_copying=window.relative_to_copying,
            window_frames_with_memory=window.frames_with_memory,
            relative_to_no_memory=window.relative_to_no_memory,
            memory_left_out=not self.uses_memory)

    def find_left_out(self) -> Finding | None:
        """Say that memory is left out, that it ought to be, or that this cannot be told."""
        if self._gate.is_open:
            return self._find_untold()
        share, window_sec = self._gate.figures.relative_to_no_memory, (
            self._config['surprise_window_sec'])
        worse = 'memory makes predictions worse' + (
            '' if math.isnan(share) else f': their squared error is {share:.2f} times that '
            f'without it over {window_sec:g} s')
        done = ('it is left out until it helps again' if not self.uses_memory
                else 'leave_memory_out is false, so it is used all the same')
        return Finding(f'{worse}; {done}. Has the place changed, is the localisation right, and '
                       'is it the right map_id?')

    def _find_untold(self) -> Finding | None:
        """Say why nobody would notice memories that mislead."""
        window_sec, least_sec = self._config['surprise_window_sec'], self._gate.least_window_sec
        if self._never_judged:
            why = (f'no frame comes about {self._step_sec:g} s after another, for when they are '
                   f'foreseen; set publish_rate of the encoder to {1.0 / self._step_sec:g} Hz, or '
                   'a multiple of that')
        elif self._gate.figures.frames_with_memory and window_sec < least_sec:
            why = (f'surprise_window_sec {window_sec:g} s holds fewer than {LEAST_FRAMES} '
                   f'predictions; set it to {least_sec:.3g} or more')
        else:
            return None
        return Finding(f'whether memory makes predictions worse cannot be told: {why}')

    @property
    def _never_judged(self) -> bool:
        """Whether predictions with memories went out for long, and none could be judged."""
        stamps = self._unjudged_ns
        return (len(stamps) == LEAST_FRAMES  # the older half may be of before a pause
                and stamps[-1] - stamps[LEAST_FRAMES // 2] > 1.5e9 * self._step_sec)

    def find_late(self) -> Finding | None:
        """Say that memories come too late, or not at all."""
        late = sum(self._late)
        if late <= _MOST_LATE or time.monotonic() - self._newest_sec > _SILENT_SEC:
            return None
        timeout_ms = self._config['retrieval_timeout_sec'] * 1e3
        return Finding(f'{late} of the last {len(self._late)} predictions went out without '
                       f'memories, which had not come within retrieval_timeout_sec '
                       f'({timeout_ms:g} ms); is the retriever running, its search_ms_p99 '
                       'below that, and with index qdrant its latents_dropped at rest?')

    def figures(self) -> dict[str, object]:
        """For /diagnostics."""
        window = self._gate.figures
        return {'surprise_frames': window.frames,
                'surprise_frames_with_memory': window.frames_with_memory,
                'surprise_frames_needed': self._gate.frames_needed,
                'error_relative_to_copying': window.relative_to_copying,
                'error_relative_to_no_memory': window.relative_to_no_memory,
                'memory_left_out': not self.uses_memory}
