"""A new memory file from the pictures of an old one, with the latents of another bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spatial_rag_core.errors import JournalMismatchError
from spatial_rag_core.memory.file.snapshot import OnProgress, open_memory
from spatial_rag_core.memory.file.whole_file import whole_memory_or_not_at_all
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.records import Memory, Vector

import cv2
import numpy as np

if TYPE_CHECKING:
    from spatial_rag_core.models.bundle import Bundle  # torch: only its callers load it

_BATCH = 256


@dataclass(frozen=True)
class ReencodeCounts:
    """Memories written anew, and memories left out since they have no readable picture."""

    written: int
    left_out: int


def reencode(source: Path, target: Path, bundle: Bundle,
             on_progress: OnProgress | None = None) -> ReencodeCounts:
    """
    Write `target`: the memories of `source` in their order, encoded by `bundle`.

    All but the latents stays as it was: ids, poses, actions, sessions, labels, pictures. `source`
    is only read, and may be written meanwhile; `target` appears once it is whole. on_progress:
    called with the memories done and their number. Raises ConfigurationError where target exists,
    JournalMismatchError for a bundle of another action_dim, JournalError where a file cannot be
    used.
    """
    with open_memory(source) as old:
        _require_action_dim(old, bundle)
        spec = replace(old.spec, z_dim=bundle.metadata.z_dim)
        with (whole_memory_or_not_at_all(target) as unfinished,
              Journal.open_writer(unfinished, spec, 'none') as new):
            return _copy(old, new, bundle, on_progress)


def _require_action_dim(old: Journal, bundle: Bundle) -> None:
    mine, theirs = old.spec.action_dim, bundle.metadata.action_dim
    if mine != theirs:
        raise JournalMismatchError(f'{old.path} holds actions of action_dim {mine}, the bundle '
                                   f'takes {theirs}; use a bundle made for action_dim {mine}')


def _copy(old: Journal, new: Journal, bundle: Bundle,
          on_progress: OnProgress | None) -> ReencodeCounts:
    total, written, left_out, seq = old.count, 0, 0, 0
    while seqs := old.records_after(seq, _BATCH)['seq'].tolist():
        memories = old.get(seqs)  # without those that were forgotten just now
        encoded = [again for number in sorted(memories)
                   if (again := _encoded(memories[number], bundle)) is not None]
        new.append(encoded)
        written, left_out = written + len(encoded), left_out + len(memories) - len(encoded)
        seq = seqs[-1]
        if on_progress is not None:
            on_progress(written + left_out, max(total, written + left_out))
    return ReencodeCounts(written, left_out)


def _encoded(memory: Memory, bundle: Bundle) -> Memory | None:
    rgb = _picture(memory.thumbnail)
    if rgb is None:
        return None
    z: Vector = bundle.encode_image(rgb)
    return replace(memory, vector=z, model_id=bundle.model_id)


def _picture(jpeg: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None:
    """Return rgb uint8 [H, W, 3]; None where there is none or it cannot be read."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    return None if bgr is None else np.ascontiguousarray(bgr[..., ::-1], np.uint8)
