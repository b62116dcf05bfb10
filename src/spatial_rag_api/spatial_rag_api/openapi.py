"""The description at /openapi.json, with the kinds of answers that FastAPI does not know of."""

from __future__ import annotations

from typing import Any

from spatial_rag_api.problems import Problem
from spatial_rag_api.schemas.imagining import Step
from spatial_rag_api.schemas.streaming import StreamEnd, StreamStart

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_BEYOND = (Problem, StreamStart, Step, StreamEnd)
"""Bodies of problems, and data of events."""

_SECURITY = {
    'X-API-Key': {'type': 'apiKey', 'in': 'header', 'name': 'X-API-Key',
                  'description': 'The key that the server was started with'},
    'Bearer': {'type': 'http', 'scheme': 'bearer', 'description': 'The same key'},
}


def describe(app: FastAPI, needs_key: bool) -> None:
    """Have the application describe itself, once."""
    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, needs_key)
        return app.openapi_schema
    app.openapi = description  # type: ignore[method-assign]  # as FastAPI's manual has it


def _described(app: FastAPI, needs_key: bool) -> dict[str, Any]:
    described = get_openapi(title=app.title, version=app.version, description=app.description,
                            routes=app.routes)
    components = described.setdefault('components', {})
    schemas = components.setdefault('schemas', {})
    for model in _BEYOND:
        schema = model.model_json_schema(ref_template='#/components/schemas/{model}',
                                         mode='serialization')
        schemas.update(schema.pop('$defs', {}))
        schemas[model.__name__] = schema
    if needs_key:
        components['securitySchemes'] = _SECURITY
        described['security'] = [{name: []} for name in _SECURITY]
    return described
