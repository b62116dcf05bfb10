"""Which memory file belongs to a model, where none is named."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.models.bundle_metadata import read_metadata


class MemoryChoice(NamedTuple):
    """A memory file, and what a user should know of the choice; empty: nothing."""

    path: Path
    remark: str = ''


def memory_of_model(path: Path, model: Path) -> MemoryChoice:
    """
    Return the memory file `path`, or where another model made it, one beside it for this model.

    Latents of two models cannot be compared, so a memory has one author: after a change of the
    model the old memory stays as it is. What cannot be read is left to the nodes to refuse.
    """
    try:
        author, model_id = _author(path), read_metadata(model.expanduser()).model_id
    except SpatialRagError:
        return MemoryChoice(path)
    if author in (None, model_id):
        return MemoryChoice(path)
    own = path.with_name(f'{path.stem}-{model_id}{path.suffix}')
    return MemoryChoice(own, (
        f'{path} holds memories of model {author} and stays as it is, for this is model '
        f'{model_id}; to take them along, have their pictures encoded anew: spatial-rag memory '
        f'reencode {path} NEW_FILE --model {model}, and name NEW_FILE as the memory'))


def _author(path: Path) -> str | None:
    """The model whose latents the file holds; None where it holds none yet."""
    journal = Journal.open_reader(path)
    if journal is None:
        return None
    with journal:
        return journal.model_id
