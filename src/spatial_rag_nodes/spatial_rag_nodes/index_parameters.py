"""Parameters of the index that memories are found in."""

from __future__ import annotations

from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_nodes.parameters import NodeParameters, Parameter

INDEX_PARAMETERS = (
    Parameter('index', 'embedded', 'Where memories are looked up: embedded (in this process) or '
              'qdrant', choices=('embedded', 'qdrant')),
    Parameter('qdrant_path', '', 'Folder of an index in this process (Qdrant Edge); empty: a '
              'server is asked'),
    Parameter('qdrant_host', '', "The server's name or address; empty: QDRANT_HOST (localhost)"),
    Parameter('qdrant_port', 0, "The server's REST port; 0: QDRANT_PORT (6333)", '', 0, 65535),
    Parameter('qdrant_https', False, 'Whether the server is spoken to in encrypted form'),
    Parameter('qdrant_api_key', '', "The server's key, which all who may read parameters see; "
              'empty: QDRANT_API_KEY', is_secret=True),
    Parameter('qdrant_collection', 'spatial_rag', "The server's collection; robots that name the "
              'same are a fleet'),
    Parameter('qdrant_timeout_sec', 1.0, 'A question to the server that takes longer fails', 's',
              0.01, 60.0),
)


def index_config(parameters: NodeParameters) -> IndexConfig:
    """Raises ConfigurationError."""
    return IndexConfig.from_environment(
        kind=parameters['index'], path=parameters['qdrant_path'],
        host=parameters['qdrant_host'], port=parameters['qdrant_port'] or None,
        https=parameters['qdrant_https'], api_key=parameters['qdrant_api_key'],
        collection=parameters['qdrant_collection'],
        timeout_sec=parameters['qdrant_timeout_sec'])
