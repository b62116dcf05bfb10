"""What the transition predictor does for whoever asks: imagine plans, decode latents."""

from __future__ import annotations

from array import array
from collections.abc import Callable
import time
from typing import NamedTuple

from spatial_rag_core.data.pictures import jpeg_from_rgb
from spatial_rag_core.errors import ModelMismatchError, ServiceUnavailableError
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.imagined import History, Imagined
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import as_latent, Memory, Pose, Vector
from spatial_rag_msgs.srv import DecodeLatent, QueryMemory, Rollout
from spatial_rag_nodes.answers import answer_of, coded
from spatial_rag_nodes.client_conversions import memory_of, stamped_pose
from spatial_rag_nodes.conversions import map_pose_from_msg, time_from_ns
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.images import image_from_rgb
from spatial_rag_nodes.parameters import NodeParameters, Parameter
from spatial_rag_nodes.rollout_conversions import fill_rollout, plans_from_request
from spatial_rag_nodes.service_threads import ServiceThreads

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

ROLLOUT_PARAMETERS = (
    Parameter('latent_timeout_sec', 1.0, 'A rollout begins with a latent that came at most so '
              'long ago', 's', 0.01, 3600.0, live=True),
    Parameter('rollout_memories', 128, 'Memories at hand for rollout, nearest poses first', '',
              0, 1024, live=True),
    Parameter('rollout_radius_m', 6.0, 'They lie at most this far from the start; as far as a '
              'plan may lead, and 3 m more', 'm', 0.01, 1000.0, live=True),
    Parameter('rollout_min_age_sec', 5.0, 'They lie at least this far in time from the start; as '
              'in training', 's', 0.0, 1e9, live=True),
    Parameter('retriever_timeout_sec', 1.0, 'rollout waits so long for them, then goes without',
              's', 0.01, 60.0, live=True),
)

_JPEG_QUALITY = 90


class Present(NamedTuple):
    """The newest latent, float32 [z_dim], its stamp [ns], and what is known of that moment."""

    stamp_ns: int
    z: Vector
    pose: Pose | None
    history: History | None


class PredictorServices:
    """
    The services of the transition predictor; the model runs in a thread of theirs.

    present: called in the executor's thread; raises ServiceUnavailableError where nothing was
    seen lately.
    """

    def __init__(self, node: Node, config: NodeParameters, health: Health, bundle: Bundle,
                 present: Callable[[], Present]) -> None:
        self._node, self._config, self._bundle = node, config, bundle
        self._present = present
        self._threads = ServiceThreads(node, 'rollout')
        self._retriever = node.create_client(QueryMemory, 'spatial_rag/query_memory')
        for kind, name, serve in ((Rollout, 'rollout', self._rollout),
                                  (DecodeLatent, 'decode_latent', self._decode)):
            self._threads.create_service(kind, f'spatial_rag/{name}', health, serve,
                                         kind.Response.MODEL_UNAVAILABLE)

    def close(self) -> None:
        """Wait for what is at hand."""
        self._threads.close()

    async def _rollout(self, request: Rollout.Request,
                       response: Rollout.Response) -> Rollout.Response:
        with coded(response):
            plans = plans_from_request(request, self._bundle.metadata.action_dim)
            start = self._start(request)
            wanted = not request.without_memories and self._config['rollout_memories'] > 0
            found, why = await self._memories(start) if wanted else ((), '')
            await self._threads.run(self._imagine, plans, start, found, request.with_pictures,
                                    response)
            response.message = why
        return response

    def _start(self, request: Rollout.Request) -> Present:
        """Where the plans begin; raises ConfigurationError, InputError, what has no code."""
        self._require_model(request.model_id)
        given = map_pose_from_msg(request.pose, self._config['map_frame']) if (
            request.pose.header.frame_id) else None
        if len(request.latent):
            return Present(0, as_latent(request.latent, self._config['z_dim']), given, None)
        present = self._present()
        return present if given is None else present._replace(pose=given)

    def _require_model(self, model_id: str) -> None:
        if model_id and model_id != self._bundle.model_id:
            raise ModelMismatchError(f'latent is of model {model_id}, the predictor runs '
                                     f'{self._bundle.model_id}; encode the picture again')

    async def _memories(self, start: Present) -> tuple[tuple[Memory, ...], str]:
        """The memories around the start, or why there are none."""
        if start.pose is None:
            return (), 'without memories: the pose of the start is not known'
        config = self._config
        request = QueryMemory.Request(
            rank_by=QueryMemory.Request.RANK_BY_POSE, k=config['rollout_memories'],
            radius_m=config['rollout_radius_m'], newest_only=True,
            min_age_sec=config['rollout_min_age_sec'], model_id=self._bundle.model_id,
            pose=stamped_pose(start.pose, config['map_frame']))
        request.pose.header.stamp = time_from_ns(start.stamp_ns)
        try:
            answer = await answer_of(self._node, self._retriever, request,
                                     config['retriever_timeout_sec'], 'retriever')
        except ServiceUnavailableError as error:
            return (), f'without memories: {error}'
        if answer.code != answer.OK:
            return (), f'without memories: {answer.message}'
        return tuple(memory_of(hit.memory) for hit in answer.memories), ''

    def _imagine(self, plans: Vector, start: Present, found: tuple[Memory, ...],
                 with_pictures: bool, response: Rollout.Response) -> None:
        meta, begun = self._bundle.metadata, time.perf_counter()
        bank = MemoryBank.empty(meta.z_dim, meta.action_dim) if start.pose is None else (
            MemoryBank.from_memories(found, start.pose, meta.z_dim, meta.action_dim))
        imagined = self._bundle.rollout(start.z, plans, bank, start.history)
        if with_pictures:
            response.pictures = self._pictures(imagined)
        response.model_time_ms = (time.perf_counter() - begun) * 1e3
        response.model_id, response.step_sec = meta.model_id, meta.step_sec
        response.header = Header(
            stamp=time_from_ns(start.stamp_ns),
            frame_id='' if start.pose is None else self._config['map_frame'])
        response.memory_ids = list(bank.ids)
        fill_rollout(response, imagined, start.pose)

    def _pictures(self, imagined: Imagined) -> list[CompressedImage]:
        latents = imagined.z.reshape(-1, imagined.z.shape[-1])
        return [CompressedImage(format='jpeg', data=array('B', jpeg_from_rgb(
            self._bundle.decode_image(z), _JPEG_QUALITY))) for z in latents]

    async def _decode(self, request: DecodeLatent.Request,
                      response: DecodeLatent.Response) -> DecodeLatent.Response:
        with coded(response):
            self._require_model(request.model_id)
            picture = await self._threads.run(
                self._bundle.decode_image, as_latent(request.latent, self._config['z_dim']))
            response.image = image_from_rgb(picture, Header())
        return response
