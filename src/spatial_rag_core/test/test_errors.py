from __future__ import annotations

import inspect

from spatial_rag_core import errors
from spatial_rag_core.errors import SpatialRagError

import pytest

CLASSES = [value for _, value in inspect.getmembers(errors, inspect.isclass)]


def drawn_tree() -> dict[str, str]:
    """Child → parent, from the drawing at the top of the module."""
    parents, path = {}, ['SpatialRagError']
    for line in (errors.__doc__ or '').splitlines():
        if '── ' in line:
            branch, _, text = line.partition('── ')
            path[len(branch) // 4 + 1:] = [text.split()[0]]
            parents[path[-1]] = path[-2]
    return parents


def test_the_tree_is_as_drawn() -> None:
    assert drawn_tree() == {error.__name__: error.__bases__[0].__name__
                            for error in CLASSES if error is not SpatialRagError}


@pytest.mark.parametrize('error', CLASSES)
def test_every_error_is_caught_as_ours(error: type[Exception]) -> None:
    assert issubclass(error, SpatialRagError)
    assert str(error('what and remedy')) == 'what and remedy'


def test_wrong_values_are_value_errors_too() -> None:
    assert issubclass(errors.ConfigurationError, ValueError)
    assert issubclass(errors.PoseError, ValueError)
    assert not issubclass(errors.JournalError, ValueError)
