"""
What the code in a bundle calls: nothing but what our own models do.

TorchScript cannot call Python, but it has operators that write and map files (torch.save,
torch.from_file), and hundreds that no model of ours needs. The code lies in the file as text, so
it is read before any of it is loaded.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
import io
from pathlib import Path
import zipfile

from spatial_rag_core.errors import BundleError
from spatial_rag_core.models.bundle_metadata import CREATE_HINT

_MOST_CODE_BYTES, _MOST_BYTES = 4 << 20, 1 << 30  # of one record
_NAMES = """
    __and__ __contains__ __is__ __isnot__ __not__ __or__ adaptive_avg_pool2d add add_ all any
    append arange argmax argmin batch_norm bitwise_not cat clamp clone conv2d conv_transpose2d
    cos cross detach dim div einsum eq exp expand expand_as eye flatten floordiv format full
    gather ge gru_cell gt index_select isfinite le len linear log lt masked_fill matmul max
    max_pool2d maximum mean min minimum mul ne neg new_zeros norm ones ones_like pad permute
    pixel_shuffle pixel_unshuffle pow prod reciprocal relu relu_ repeat reshape rsqrt rsub select
    sigmoid sin size slice softmax softplus split sqrt square squeeze stack sub sum tanh to topk
    transpose unbind unsqueeze view where zeros zeros_like
    prim.RaiseException prim.device prim.dtype prim.max prim.min
    """
_OPERATORS = frozenset(_NAMES.split())
_WORDS = frozenset({'annotate', 'float', 'getattr', 'int', 'bool', 'range', 'unchecked_cast',
                    'uninitialized', 'isinstance', 'str'})
"""What is called by its name alone; _0, _1, … stand for functions of the archive."""


def checked_copy(path: Path) -> io.BytesIO:
    """
    Return a bundle's records as a new archive; raises BundleError where its code does more.

    What is loaded is what was read: torch finds its way in an archive otherwise than Python, and
    a file can be made that shows each of them other code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = {info.filename: _record(path, archive, info)
                       for info in archive.infolist()}
            _require_known_code(path, [ast.parse(data) for name, data in records.items()
                                       if 'code/' in name and name.endswith('.py')])
    except (OSError, zipfile.BadZipFile, SyntaxError, ValueError, RecursionError,
            NotImplementedError) as error:
        raise BundleError(f'{path}: its code cannot be read ({error}); copy it again, or make '
                          f'one: {CREATE_HINT} {path}') from error
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, 'w') as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    copy.seek(0)
    return copy


def _record(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    most = _MOST_CODE_BYTES if 'code/' in info.filename else _MOST_BYTES
    if info.file_size > most:
        raise BundleError(f'{path}: {info.filename} has {info.file_size} bytes, more than {most}')
    return archive.read(info)


def _require_known_code(path: Path, trees: Sequence[ast.Module]) -> None:
    own = {node.name for tree in trees for node in ast.walk(tree)
           if isinstance(node, ast.FunctionDef | ast.ClassDef)} - _all_operators()
    for tree in trees:
        for node in ast.walk(tree):
            if (name := _foreign(node, own)) is not None:
                raise BundleError(f'{path}: its code calls {name}, which no model of this '
                                  'software does; use bundles that you made, or trust')


def _foreign(node: ast.AST, own: set[str]) -> str | None:
    """Name of what is used and not known; None where there is nothing to object to."""
    if isinstance(node, ast.Attribute) and isinstance(root := _root(node), ast.Name) and (
            root.id in ('torch', 'ops')):
        name = ast.unparse(node).removeprefix(f'{root.id}.')
        # A part of a longer name (ops.prim of ops.prim.min) is looked at with the whole.
        return None if name in _OPERATORS or name == 'prim' else ast.unparse(node)
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name):
        word = node.func.id
        return None if word in own | _WORDS or word.lstrip('_').isdigit() else word
    if isinstance(node.func, ast.Attribute):  # a method: ours, or an operator in another form
        method = node.func.attr
        is_rooted = isinstance(root := _root(node.func), ast.Name) and root.id in ('torch', 'ops')
        return None if is_rooted or method in own | _OPERATORS else method
    return ast.unparse(node.func)


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node


def _all_operators() -> set[str]:
    import torch
    return {schema.name.partition('::')[2] for schema in torch._C._jit_get_all_schemas()}
