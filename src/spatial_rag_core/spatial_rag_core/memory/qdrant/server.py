"""A Qdrant server: connecting to it, what its failures mean, and the collections on it."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import math
import re

from spatial_rag_core.errors import (
    ConfigurationError,
    IndexUnavailableError,
    SpatialRagError,
)
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.qdrant.points import (
    cell_field,
    cell_resolutions,
    DIRECTION,
    LATENT,
    NUMBERS,
    POSE,
    POSE_DIM,
    WORDS,
)

import httpx
from qdrant_client import models, QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

OLDEST_VERSION = (1, 12)
KEPT_WORDS = (*WORDS, 'journal', 'model_id')
"""Words of the payload that can be filtered by."""


class MissingCollectionError(IndexUnavailableError):
    """The server answers, but the collection is not there: it is new, or was emptied."""


def connect(config: IndexConfig, timeout_sec: float) -> QdrantClient:
    """
    Make a client; nothing is sent yet.

    The key goes into the headers, for the client warns of a key without https on each start.
    """
    return QdrantClient(
        host=config.host, port=config.port, https=config.https, prefer_grpc=False,
        timeout=math.ceil(timeout_sec), check_compatibility=False,
        headers={'api-key': config.api_key} if config.api_key else None)


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Failures of the client come out as IndexUnavailableError that names the server."""
    try:
        yield
    except SpatialRagError:
        raise
    except UnexpectedResponse as error:
        raise _refusal(where, error) from error
    except ResourceExhaustedResponse as error:
        raise IndexUnavailableError(
            f'Qdrant at {where} is asked too often (429); it is tried again later') from error
    except ResponseHandlingException as error:
        raise IndexUnavailableError(_fault(where, error.source)) from error
    except (httpx.HTTPError, OSError, ValueError, AssertionError) as error:
        raise IndexUnavailableError(_fault(where, error)) from error


def _refusal(where: str, error: UnexpectedResponse) -> IndexUnavailableError:
    said = _one_line(error.content.decode(errors='replace')) or error.reason_phrase
    if error.status_code in (401, 403):
        return IndexUnavailableError(
            f'Qdrant at {where} refuses the api key ({error.status_code}); set api_key or '
            'QDRANT_API_KEY to the one of the server, with the right to write')
    if error.status_code == 404 and 'ollection' in said:
        return MissingCollectionError(f'Qdrant at {where}: {said}')
    return IndexUnavailableError(
        f'Qdrant at {where} answers {error.status_code}: {said}; look at the log of the server')


def _fault(where: str, fault: Exception) -> str:
    what = f'{type(fault).__name__}: {_one_line(str(fault))}'
    if isinstance(fault, httpx.TimeoutException):
        return (f'Qdrant at {where} does not answer in time ({what}); look at the server and the '
                'network')
    if isinstance(fault, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return (f'Qdrant at {where} broke off in the middle of an answer ({what}); look at the '
                'server, and whether the port is that of REST and https is set as it is there')
    if 'CERTIFICATE_VERIFY_FAILED' in what:
        return (f'the certificate of Qdrant at {where} is not trusted ({what}); set SSL_CERT_FILE '
                'to that of its authority, and host to the name in it')
    if isinstance(fault, httpx.TransportError | OSError):
        return (f'Qdrant at {where} cannot be reached ({what}); start it there, or set host, port '
                'and https')
    return (f'what answers at {where} is not a Qdrant, or one of another version ({what}); '
            'set host and port')


def _one_line(text: str) -> str:
    return ' '.join(text.split())[:200]


def require_version(client: QdrantClient, where: str) -> None:
    """Raise IndexUnavailableError for what is no Qdrant, or one that is too old."""
    with translated(where):
        told = client.info().version
    numbers = re.match(r'(\d+)\.(\d+)', told)
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_VERSION:
        wanted = '.'.join(map(str, OLDEST_VERSION))
        raise IndexUnavailableError(
            f'Qdrant at {where} has version {told}, at least {wanted} is needed; update the '
            'server')


def ensure_collection(client: QdrantClient, config: IndexConfig, z_dim: int,
                      resolution: int) -> None:
    """
    Make the collection and its indexes where they are missing, else check its vectors.

    Raises ConfigurationError where it holds vectors of another length.
    """
    with translated(config.where):
        if not client.collection_exists(config.collection):
            with contextlib.suppress(UnexpectedResponse):  # another robot may just have made it
                _create(client, config, z_dim)
        info = client.get_collection(config.collection)
        _require_vectors(info, config, z_dim)
        for field, schema in indexed_fields(resolution).items():
            if field not in info.payload_schema:
                client.create_payload_index(config.collection, field, schema)


def _create(client: QdrantClient, config: IndexConfig, z_dim: int) -> None:
    is_custom = config.shard_resolution is not None
    client.create_collection(
        config.collection, vectors_config=vectors_config(z_dim), on_disk_payload=True,
        replication_factor=config.replication_factor,
        sharding_method=models.ShardingMethod.CUSTOM if is_custom else None)


def vectors_config(z_dim: int) -> dict[str, models.VectorParams]:
    """Vectors of a point; poses have no graph, for a nearest pose is asked for within cells."""
    euclid, cosine = models.Distance.EUCLID, models.Distance.COSINE
    return {LATENT: models.VectorParams(size=z_dim, distance=euclid),
            DIRECTION: models.VectorParams(size=z_dim, distance=cosine),
            POSE: models.VectorParams(size=POSE_DIM, distance=euclid,
                                      hnsw_config=models.HnswConfigDiff(m=0))}


def _require_vectors(info: models.CollectionInfo, config: IndexConfig, z_dim: int) -> None:
    there = info.config.params.vectors
    wanted = {name: (params.size, params.distance)
              for name, params in vectors_config(z_dim).items()}
    if not isinstance(there, dict):
        there = {} if there is None else {'': there}
    found = {name: (params.size, params.distance) for name, params in there.items()}
    if found != wanted:
        raise ConfigurationError(
            f'collection {config.collection} at {config.where} has vectors {_told(found)}, '
            f'wanted are {_told(wanted)}; name another collection: its latents are of another '
            'z_dim, or it is not one of Spatial-RAG')


def _told(vectors: dict[str, tuple[int, models.Distance]]) -> str:
    return ', '.join(f'{name or "(no name)"} {size} {distance.value}'
                     for name, (size, distance) in sorted(vectors.items())) or 'none'


def indexed_fields(resolution: int) -> dict[str, models.PayloadFieldSchema]:
    """Fields of the payload that have an index, and which."""
    cells = {cell_field(other): models.IntegerIndexParams(
        type=models.IntegerIndexType.INTEGER, lookup=True, range=False)
        for other in cell_resolutions(resolution)}
    words = {field: models.KeywordIndexParams(
        type=models.KeywordIndexType.KEYWORD, is_tenant=field == 'journal')
        for field in KEPT_WORDS}
    return {**cells, **words, **dict.fromkeys(NUMBERS, models.PayloadSchemaType.FLOAT)}
