"""
The programs of this package.

Nodes are imported inside: imports take seconds, and a Ctrl-C in the midst of them is no reason
for a traceback.
"""

from __future__ import annotations

from importlib import import_module
import signal
import sys

_CORE_NODES = {'encoder_node': 'EncoderNode', 'retriever_node': 'RetrieverNode',
               'transition_predictor_node': 'TransitionPredictorNode',
               'memory_writer_node': 'MemoryWriterNode'}
"""In this order they get a latent where they share a process: nobody waits for its storing."""


def encoder_node() -> None:
    """Run the encoder."""
    _run({'encoder_node': 'EncoderNode'})


def memory_writer_node() -> None:
    """Run the memory writer."""
    _run({'memory_writer_node': 'MemoryWriterNode'})


def retriever_node() -> None:
    """Run the retriever."""
    _run({'retriever_node': 'RetrieverNode'})


def transition_predictor_node() -> None:
    """Run the transition predictor."""
    _run({'transition_predictor_node': 'TransitionPredictorNode'})


def composed() -> None:
    """Run these four in one process, on one executor."""
    _run(_CORE_NODES)


def simulated_robot_node() -> None:
    """Run the simulated robot."""
    _run({'simulated_robot_node': 'SimulatedRobotNode'})


def bag_replay_node() -> None:
    """Run the replay of a recording."""
    _run({'bag_replay_node': 'BagReplayNode'})


def episode_recorder_node() -> None:
    """Run the recorder of episodes."""
    _run({'episode_recorder_node': 'EpisodeRecorderNode'})


def visualizer_node() -> None:
    """Run the visualizer."""
    _run({'visualizer_node': 'VisualizerNode'})


def _run(nodes: dict[str, str]) -> None:
    """Run the classes, each from the module of its name; ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends at once, until rclpy sets its handler
    run_process = import_module('spatial_rag_nodes.node_process').run_process
    sys.exit(run_process([getattr(import_module(f'spatial_rag_nodes.{module}'), name)
                          for module, name in nodes.items()]))
