"""What OpenAPI tells of errors."""

from __future__ import annotations

from typing import Any

from spatial_rag_api.problems import kind_of_status

_PROBLEM = {'$ref': '#/components/schemas/Problem'}

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The problems that a route may answer with, beside those of every route."""
    return {status: {'description': _TITLES.get(status, kind_of_status(status).title),
                     'content': {'application/problem+json': {'schema': _PROBLEM}}}
            for status in (401, 413, 421, *statuses)}


_TITLES = {409: 'The latents are of another model', 422: 'A value cannot be used',
           503: 'It cannot be answered now; see Retry-After'}
