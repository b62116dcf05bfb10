"""Errors as application/problem+json (RFC 9457): what is wrong, with its value, and the remedy."""

from __future__ import annotations

from http import HTTPStatus
import json
import logging
from typing import Any, NamedTuple

from spatial_rag_api.followed_memory import UnknownMemoryError
from spatial_rag_api.worker import BusyError
from spatial_rag_core.error_words import shortened, told
from spatial_rag_core.errors import (
    ActionError,
    BundleError,
    ConfigurationError,
    ImageError,
    IndexUnavailableError,
    InputError,
    JournalError,
    LatentError,
    ModelMismatchError,
    PoseError,
    ServiceUnavailableError,
)

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

_LOG = logging.getLogger(__name__)
_MOST_COMPLAINTS = 5


class Problem(BaseModel):
    """Why a request was not answered as asked."""

    model_config = ConfigDict(json_schema_extra={'examples': [{
        'type': 'urn:spatial-rag:problem:bad-latent', 'title': 'The latent cannot be used',
        'status': 422, 'remedy': 'sender and receiver must agree on z_dim',
        'detail': 'latent has shape [31], expected [32] (z_dim); sender and receiver must agree '
                  'on z_dim'}]})

    type: str = Field(description='Names the kind of problem; stable, for programs')
    title: str = Field(description='The kind of problem, for people')
    status: int = Field(description='The HTTP status')
    detail: str = Field(description='What is wrong with this request, with the value')
    remedy: str = Field(description='What to do about it')


class Kind(NamedTuple):
    """One kind of problem, and the remedy where its message names none."""

    name: str
    status: int
    title: str
    remedy: str


_NOT_FOUND = Kind('not-found', 404, 'There is no such thing', 'see /openapi.json')
_KINDS: tuple[tuple[type[Exception], Kind], ...] = (
    (UnknownMemoryError, _NOT_FOUND),
    (ImageError, Kind('bad-picture', 422, 'The picture cannot be used', 'send a JPEG or PNG')),
    (LatentError, Kind('bad-latent', 422, 'The latent cannot be used', 'encode the picture '
                       'again')),
    (ActionError, Kind('bad-action', 422, 'The action cannot be used', 'see action_dim in '
                       '/stats')),
    (PoseError, Kind('bad-pose', 422, 'The pose cannot be used', 'see PoseIn in /openapi.json')),
    (InputError, Kind('bad-input', 422, 'The request cannot be used', 'see /openapi.json')),
    (ConfigurationError, Kind('out-of-range', 422, 'A value is out of its range', 'see '
                              '/openapi.json')),
    (ModelMismatchError, Kind('other-model', 409, 'The latents are of another model',
                              'encode the picture again')),
    (BusyError, Kind('busy', 503, 'Others ask too much', 'ask again in a second')),
    (ServiceUnavailableError, Kind('unavailable', 503, 'It cannot be answered now',
                                   'ask again later')),
    (JournalError, Kind('memory-unavailable', 503, 'The memory cannot be asked', 'see '
                        '/ready')),
    (IndexUnavailableError, Kind('memory-unavailable', 503, 'The memory cannot be asked', 'see '
                                 '/ready')),
    (BundleError, Kind('model-unavailable', 503, 'The model cannot be used', 'see /ready')),
)
_UNFORESEEN = Kind('internal-error', 500, 'An error that was not foreseen',
                   'please report it, with the request')
_INVALID = Kind('invalid-request', 422, 'The request is not as /openapi.json says',
                'see /openapi.json')
_OF_STATUS = {
    400: Kind('malformed', 400, 'The request cannot be read', 'see /openapi.json'),
    401: Kind('no-key', 401, 'The API key is missing or wrong',
              'send the header X-API-Key, or Authorization: Bearer'),
    404: _NOT_FOUND,
    405: Kind('method', 405, 'The method is not allowed here', 'see /openapi.json'),
    408: Kind('too-slow', 408, 'The request came too slowly', 'send it faster, or less'),
    413: Kind('too-large', 413, 'The request is too large', 'send less'),
    421: Kind('other-host', 421, 'The request is for another host',
              'ask by 127.0.0.1 or localhost, or set an API key'),
}


class ProblemResponse(Response):
    """A problem on its way to the client; 503 tells when to come again."""

    media_type = 'application/problem+json'

    def __init__(self, kind: Kind, message: str, headers: dict[str, str] | None = None) -> None:
        self.problem = problem_of(kind, message)
        again = {'Retry-After': '1'} if kind.status == 503 else {}
        super().__init__(json.dumps(self.problem.model_dump()), kind.status,
                         {**again, **(headers or {})})


def problem_of(kind: Kind, message: str) -> Problem:
    """Fill it in; the remedy is what the message says after its last semicolon."""
    detail = shortened(message)
    _, _, remedy = detail.rpartition('; ')
    return Problem(type=f'urn:spatial-rag:problem:{kind.name}', title=kind.title,
                   status=kind.status, detail=detail,
                   remedy=remedy if '; ' in detail else kind.remedy)


def kind_of(error: Exception) -> Kind:
    """What kind of problem an error is."""
    return next((kind for cls, kind in _KINDS if isinstance(error, cls)), _UNFORESEEN)


def kind_of_status(status: int) -> Kind:
    """What kind of problem an HTTP status is."""
    phrase = HTTPStatus(status).phrase
    return _OF_STATUS.get(status, Kind(f'http-{status}', status, phrase, 'see /openapi.json'))


def install(app: FastAPI) -> None:
    """Have every error answered as a problem."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    for cls, _ in _KINDS:
        app.add_exception_handler(cls, _of_error)
    app.add_exception_handler(Exception, _of_error)


def of_error(error: Exception) -> ProblemResponse:
    """Answer an error; one that was not foreseen is logged."""
    kind = kind_of(error)
    if kind is _UNFORESEEN:
        _LOG.error('unforeseen', exc_info=error)
    return ProblemResponse(kind, told(error))


async def _of_error(_request: Request, error: Exception) -> Response:
    return of_error(error)


async def _of_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return ProblemResponse(kind_of_status(error.status_code), str(error.detail),
                           dict(error.headers or {}))


async def _of_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    complaints = list(error.errors())
    words = [_complaint(each) for each in complaints[:_MOST_COMPLAINTS]]
    more = len(complaints) - len(words)
    return ProblemResponse(_INVALID, ', '.join(words) + (f', and {more} more' if more else ''))


def _complaint(error: dict[str, Any]) -> str:
    """Where and what, and the value where it is short: it may be a whole picture."""
    where = '.'.join(map(str, error['loc']))
    value = error.get('input')
    got = f' (got {value!r})' if isinstance(value, (str, int, float, bool)) and len(
        repr(value)) < 80 else ''
    return f'{where}: {error["msg"]}{got}'
