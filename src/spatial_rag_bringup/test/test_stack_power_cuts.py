"""The whole stack when its power is cut; benchmarks/bench_power_cuts.py cuts it more often."""

from collections.abc import Callable
import json
from pathlib import Path
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.stack]

BENCH = Path(__file__).parents[3] / 'benchmarks' / 'bench_power_cuts.py'


@pytest.mark.timeout(300)
@pytest.mark.parametrize('composition', ['false', 'true'])
def test_a_robot_that_is_switched_off_comes_back_with_every_acknowledged_memory(
        start_process: Callable[..., Any], composition: str) -> None:
    process = start_process(sys.executable, BENCH, '--cuts', 2, '--composition', composition)
    process.wait(280.0)
    told = json.loads(process.output.splitlines()[-1])
    assert told['cuts'] == 2
    assert told['memories_acknowledged'] > 0
    assert told['memories_found_again'] == told['memories_acknowledged']
    assert told['memories_missing_in_file'] == 0
    assert told['problems'] == []
    missed = {name for name, is_kept in told['holds'].items() if not is_kept}
    assert missed <= {'up within 5 s'}  # that is a loaded machine's; the benchmark holds it to it
