"""Every curl line of docs/API.md works as it stands."""

from __future__ import annotations

import argparse
from pathlib import Path
import re
import shlex

from spatial_rag_api.problems import _KINDS, _OF_STATUS

import cv2
import httpx
import pytest

from .robots import picture

PAGE = (Path(__file__).parents[3] / 'docs/API.md').read_text()
LINES = [line for block in re.findall(r'```bash\n(.*?)```', PAGE, re.S)
         for line in block.splitlines()]


def as_request(line: str, folder: Path) -> tuple[str, str, dict[str, object]]:
    """What curl would send: method, path, and arguments for httpx."""
    parser = argparse.ArgumentParser()
    parser.add_argument('-F', action='append', default=[])
    parser.add_argument('-N', action='store_true')
    parser.add_argument('-o')
    parser.add_argument('--json')
    parser.add_argument('url')
    program, *words = shlex.split(line)
    assert program == 'curl'
    given = parser.parse_args(words)
    prefix = 'http://127.0.0.1:8080'
    assert given.url.startswith(prefix)
    if given.json is not None:
        body: dict[str, object] = {'content': given.json,
                                   'headers': {'Content-Type': 'application/json'}}
        return 'POST', given.url[len(prefix):], body
    files = {name: (folder / file).read_bytes() for name, file in (
        field.split('=@') for field in given.F)}
    return 'POST' if files else 'GET', given.url[len(prefix):], {'files': files} if files else {}


@pytest.mark.parametrize('line', LINES)
def test_each_line_of_the_page_works(line: str, client: httpx.Client, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'room.jpg'), picture(0))
    method, path, arguments = as_request(line, tmp_path)
    answer = client.request(method, path, **arguments)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text


def test_the_page_asks_each_operation(client: httpx.Client, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'room.jpg'), picture(0))
    asked = {(method.lower(), re.sub(r'/\d+', '/{seq}', path.partition('?')[0]))
             for method, path, _ in (as_request(line, tmp_path) for line in LINES)}
    paths = client.get('/openapi.json').json()['paths']
    assert asked == {(method, path) for path, methods in paths.items() for method in methods}


def test_the_page_names_every_kind_of_problem() -> None:
    kinds = {kind.name for _, kind in _KINDS} | {kind.name for kind in _OF_STATUS.values()}
    kinds -= {'method'}
    assert {kind for kind in kinds if f'`{kind}`' not in PAGE} == set()
