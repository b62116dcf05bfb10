"""No file that comes from elsewhere is read in a way that runs what it says, in any package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = [path for package in sorted(Path(__file__).parents[2].glob('spatial_rag_*'))
           for path in sorted((package / package.name).rglob('*.py'))]
FORBIDDEN = {'eval', 'exec', 'os.system', 'os.popen', 'yaml.load', 'yaml.unsafe_load',
             'yaml.full_load', 'pickle.load', 'pickle.loads', 'pickle.Unpickler', 'marshal.loads',
             'shelve.open', 'torch.hub.load', 'torch.package.PackageImporter', 'joblib.load',
             'importlib.util.spec_from_file_location', 'socket.create_server',
             'http.server.HTTPServer', 'socketserver.TCPServer'}
LISTENERS = {'spatial_rag_api/main.py': ['socket.create_server']}
"""What is there to be asked, on the address that it is told."""
NEEDED = {'torch.load': ('weights_only', True), 'np.load': ('allow_pickle', False),
          'numpy.load': ('allow_pickle', False)}
"""Calls that are safe with this keyword alone."""


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str, object]]]:
    """Dotted name of what is called, and the keywords whose value is a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), {
                keyword.arg: keyword.value.value for keyword in node.keywords
                if keyword.arg and isinstance(keyword.value, ast.Constant)}


def dangers(text: str) -> list[str]:
    """Calls that would run, or let in, what a file or somebody on the network says."""
    found = []
    for name, keywords in calls(ast.parse(text)):
        if name in FORBIDDEN or keywords.get('shell') is True:
            found.append(name)
        elif name in NEEDED:
            keyword, value = NEEDED[name]
            found += [name] * (keywords.get(keyword) is not value)
    return found


def test_no_package_runs_what_a_file_says_or_opens_a_port() -> None:
    assert len(SOURCES) > 200
    found = {f'{path.parent.name}/{path.name}': danger for path in SOURCES
             if (danger := dangers(path.read_text()))}
    assert found == LISTENERS


@pytest.mark.parametrize('text', [
    'torch.load(path)', 'torch.load(path, weights_only=False)', 'np.load(path)',
    'subprocess.run(line, shell=True)', 'yaml.load(text)', 'pickle.loads(data)', 'eval(text)'])
def test_this_test_can_fail(text: str) -> None:
    assert dangers(text)


def test_what_is_safe_passes() -> None:
    assert not dangers('torch.load(path, weights_only=True)\nyaml.safe_load(text)\n'
                       'np.load(path, allow_pickle=False)\nmodel.eval()\n')
