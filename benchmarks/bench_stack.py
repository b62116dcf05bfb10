"""How long is the way from picture to latent and to prediction? Whole stack, simulated robot."""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

DURATION_SEC = 20
LIMIT_MS = 50.0  # one period at 20 Hz
GOAL_MS = 10.0


def run(composition: bool, folder: Path) -> dict[str, object]:
    """RUN SUMMARY of one run on a new memory."""
    command = [shutil.which('run_stack') or 'run_stack', '--duration', str(DURATION_SEC),
               '--composition', str(composition).lower(),
               '--memory', str(folder / f'{composition}.db')]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False,
                            env={**os.environ, 'ROS_DOMAIN_ID': '101'})
    for line in result.stdout.splitlines():
        if line.startswith('RUN SUMMARY '):
            return json.loads(line.removeprefix('RUN SUMMARY '))
    sys.exit(f'no RUN SUMMARY (exit code {result.returncode}):\n{result.stdout}{result.stderr}')


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for composition in (False, True):
            summary = run(composition, Path(name))
            print(json.dumps({
                'question': 'image to latent_next, simulated robot, untrained tiny model, '
                            + ('one process' if composition else 'separate processes'),
                'limit_ms': LIMIT_MS, 'goal_ms': GOAL_MS, **summary}), flush=True)


if __name__ == '__main__':
    main()
