"""The four nodes in one process."""

from __future__ import annotations

import sys

from spatial_rag_nodes.encoder_node import EncoderNode
from spatial_rag_nodes.memory_writer_node import MemoryWriterNode
from spatial_rag_nodes.node_process import run_process
from spatial_rag_nodes.retriever_node import RetrieverNode
from spatial_rag_nodes.transition_predictor_node import TransitionPredictorNode


def main() -> None:
    """Run encoder, memory writer, retriever and transition predictor on one executor."""
    sys.exit(run_process([EncoderNode, MemoryWriterNode, RetrieverNode,
                          TransitionPredictorNode]))
