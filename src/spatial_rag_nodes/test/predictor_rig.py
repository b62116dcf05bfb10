"""A transition predictor as a process, and the rest of the stack played by the test."""

from __future__ import annotations

from collections.abc import Sequence
import math
from pathlib import Path
from typing import Any

from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.records import Hit, Memory, Pose, Position, Quaternion
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes.conversions import (
    array_from_vector,
    msg_from_hit,
    msg_from_latent,
    msg_from_pose,
    time_from_ns,
)

import numpy as np
from std_msgs.msg import Float32MultiArray, Header
import torch

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
HERE = Pose(Position(3.0, -1.0), Quaternion(0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)))
"""Turned to the left: forward is the map's y."""


class Rig:
    """A predictor, and the rest of the stack played by the test."""

    def __init__(self, lab: Any, bundle_path: Path, **parameters: object) -> None:
        self.probe, self.diagnostics = lab.probe, lab.diagnostics
        self.bundle = Bundle.load(bundle_path)
        self.stamped = self.probe.listen(LatentStamped, '/spatial_rag/latent_next')
        self.plain = self.probe.listen(Float32MultiArray, '/latent_next')
        self.process = lab.start_node('transition_predictor_node', model_path=bundle_path,
                                      **parameters)
        self.latent = self.probe.publisher(LatentStamped, '/spatial_rag/latent')
        self.retrieved = self.probe.publisher(RetrievedMemories, '/spatial_rag/retrieved')
        self.action = None if parameters.get('action_source') == 'motion' else (
            self.probe.publisher(Float32MultiArray, '/actions'))
        self.probe.spin(0.3)
        self.stamp_ns = T0_NS

    def act(self, *values: float) -> None:
        self.action.publish(array_from_vector(np.float32(values)))
        self.probe.spin(0.1)

    def send(self, z: np.ndarray, memories: Sequence[Memory] | None,
             model_id: str | None = None, map_frame: str = 'map') -> None:
        """Latent, then what the retriever finds at HERE; None: it does not answer."""
        self.stamp_ns += STEP_NS
        header = Header(stamp=time_from_ns(self.stamp_ns), frame_id='camera')
        self.latent.publish(msg_from_latent(z, header, model_id or self.bundle.model_id))
        if memories is not None:
            self.probe.spin(0.002)
            self.retrieved.publish(RetrievedMemories(
                header=Header(stamp=header.stamp, frame_id=map_frame),
                pose=msg_from_pose(HERE), pose_valid=True,
                memories=[msg_from_hit(Hit(memory, 0.0, 0.0), 'map') for memory in memories]))

    def answer(self) -> LatentStamped:
        """The prediction for the newest latent."""
        stamp = time_from_ns(self.stamp_ns)
        self.probe.until(lambda: any(m.header.stamp == stamp for m in self.stamped))
        return next(m for m in self.stamped if m.header.stamp == stamp)


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(32).astype(np.float32)


def memory(seed: int, age_sec: float = 10.0, forward_m: float | None = None) -> Memory:
    """Forward of HERE, one metre for each seed unless said otherwise."""
    ahead = float(seed) if forward_m is None else forward_m
    pose = Pose(Position(HERE.position.x, HERE.position.y + ahead), HERE.orientation)
    return Memory(str(seed), vector(seed), pose, '', T0_NS / 1e9 - age_sec, 'author',
                  action=np.float32([0.1 * seed, -0.1]))


def bank(*memories: Memory) -> MemoryBank:
    return MemoryBank.from_memories(memories, HERE, 32, 2)


def other_bundle(folder: Path, history: int = 0, **transition: Any) -> Path:
    """An untrained bundle with another transition."""
    config = TransitionConfig(**transition)
    path = folder / 'other.pt'
    torch.manual_seed(0)
    save_bundle(WorldModel(WorldModelConfig(EncoderConfig(), config)), path, trained=False,
                training={}, history=history)
    return path
