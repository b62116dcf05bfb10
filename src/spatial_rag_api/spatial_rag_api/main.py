"""The program `spatial_rag_api`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import contextlib
import logging
import os
from pathlib import Path
import socket
import sys
from typing import TYPE_CHECKING

from spatial_rag_api import __version__
from spatial_rag_api.config import ApiConfig, memory_path_from, model_path_from
from spatial_rag_core.errors import ConfigurationError, SpatialRagError

if TYPE_CHECKING:  # it brings torch
    from spatial_rag_api.parts import Parts

_LOG = logging.getLogger('spatial_rag_api')
_PACKAGES = ('fastapi', 'h11', 'prometheus_client', 'pydantic', 'sse_starlette', 'starlette',
             'uvicorn')
"""What a robot without the API need not have."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C (130); 1 with one line on stderr where it cannot begin."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format='%(levelname)s %(name)s: %(message)s')
    _LOG.setLevel(logging.INFO)  # others tell which of their parts they load
    try:
        _serve(config_from(arguments, os.environ))
    except KeyboardInterrupt:  # uvicorn has ended all in order, and passes it on
        return 130
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        print(f'spatial_rag_api: {error}; pip install -r requirements/api.txt', file=sys.stderr)
        return 1
    except SpatialRagError as error:
        print(f'spatial_rag_api: {error}', file=sys.stderr)
        return 1
    return 0


def config_from(arguments: argparse.Namespace, environment: Mapping[str, str]) -> ApiConfig:
    """Arguments, then environment variables, then defaults; raises ConfigurationError."""
    model = arguments.model or model_path_from(environment)
    origins = environment.get('SPATIAL_RAG_API_ORIGINS', '')
    return ApiConfig(
        model_path=model,
        memory_path=arguments.memory or memory_path_from(environment, model),
        host=arguments.host or environment.get('SPATIAL_RAG_API_HOST') or '127.0.0.1',
        port=_port(arguments.port or environment.get('SPATIAL_RAG_API_PORT') or '8080'),
        api_key=_key(arguments.api_key_file, environment),
        allowed_origins=tuple(arguments.allow_origin or origins.split()),
        device=arguments.device)


def _port(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ConfigurationError(f'port must be a whole number, got {text!r}') from error


def _key(path: Path | None, environment: Mapping[str, str]) -> str | None:
    """The key; no argument of its own, for every user of a computer sees those."""
    if path is None:
        return environment.get('SPATIAL_RAG_API_KEY') or None
    try:
        return path.read_text('utf-8').strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f'--api-key-file {path} cannot be read: {error}; name a text '
                                 'file that holds the key') from error


def _serve(config: ApiConfig) -> None:
    from spatial_rag_api.parts import Parts  # torch: seconds, not for --help
    from spatial_rag_api.serving import server_of
    with _listening(config) as listener, contextlib.closing(Parts.open(config)) as parts:
        _tell(parts, listener.getsockname()[1])
        server_of(parts).run([listener])


def _listening(config: ApiConfig) -> socket.socket:
    """Before the model is loaded, for a port that is taken is told at once."""
    family = socket.AF_INET6 if ':' in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host, config.port), family=family)
        # For all its connections: asyncio does so for sockets of its own alone, and without it
        # each answer waits 40 ms for the client's acknowledgement of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise ConfigurationError(
            f'nobody can listen at {config.host} port {config.port}: {error.strerror}; name '
            'another with --host and --port, or stop what listens there') from error


def _tell(parts: Parts, port: int) -> None:
    """Say where it listens, what runs, and what of the memory is wrong."""
    config, meta, condition = parts.config, parts.model.metadata, parts.memory.condition()
    host = f'[{config.host}]' if ':' in config.host else config.host
    trained = '' if meta.trained else ', UNTRAINED: what it predicts means nothing'
    _LOG.info('http://%s:%d  model %s (%s%s)  memory %s: %s', host, port,
              config.model_path, meta.model_id, trained, parts.memory.path,
              condition.note or condition.state)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='spatial_rag_api', description='The memory and the world model over HTTP. The API '
        'key comes from SPATIAL_RAG_API_KEY or --api-key-file.')
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    parser.add_argument('--model', type=Path, help='the bundle (WM_CHECKPOINT_PATH; else the one '
                        'that ships)')
    parser.add_argument('--memory', type=Path, help="the robot's memory file (SPATIAL_RAG_MEMORY; "
                        'else ~/.ros/spatial_rag/memory.db); it may come later')
    parser.add_argument('--host', help='where to listen (SPATIAL_RAG_API_HOST; else 127.0.0.1); '
                        'beyond this computer only with a key')
    parser.add_argument('--port', help='(SPATIAL_RAG_API_PORT; else 8080)')
    parser.add_argument('--api-key-file', type=Path, help='a text file that holds the key')
    parser.add_argument('--allow-origin', action='append', metavar='ORIGIN', help='a web page of '
                        'this origin may ask, http://host:port; may be given again '
                        '(SPATIAL_RAG_API_ORIGINS, with spaces between)')
    parser.add_argument('--device', default='auto', choices=('auto', 'cpu', 'cuda'))
    return parser
