"""
Does the stack run for an hour as in its first minute? `make soak` (SOAK_MINUTES=60).

`run_stack` on the simulated robot, a process a node, on a new memory. No second may have fewer
than 19 latents_next (by when they were published; what this program itself fails to hear counts
as missed), and no node may grow once it is warm: its memory is fitted by a line (least squares)
over all but the first WARM_UP of the time. The index holds what is stored, so a node may grow by
so much a memory. Prints a table, and ends with 1 where a limit does not hold.
"""

from __future__ import annotations

import argparse
from collections import Counter
import json
import os
from pathlib import Path
import sys
import tempfile

import numpy as np
from running_stack import Ear, stay_apart
from watched_run import cpu_of_a_core, RUNNER, Samples, WatchedRun

LEAST_A_SECOND = 19
WARM_UP, LONGEST_WARM_UP_SEC = 1 / 3, 600.0
GROWTH_LIMIT_BYTES, GROWTH_LIMIT_BYTES_A_MEMORY = 8e6, 1000.0
"""What the allocator may take at times, and an embedded index for a memory."""


def missed_seconds(published_ns: list[int], duration_sec: float) -> dict[int, int]:
    """Second since the first → messages in it, of seconds with too few; but for the last."""
    seconds = Counter((time_ns - published_ns[0]) // 1_000_000_000 for time_ns in published_ns)
    return {second: seconds[second] for second in range(int(duration_sec) - 1)
            if seconds[second] < LEAST_A_SECOND}


def growth_bytes(samples: Samples) -> tuple[float, float]:
    """How much a process has grown since it was warm, and how much that is in an hour."""
    times = np.array([now for now, _ in samples])
    sizes = np.array([share.resident_bytes for _, share in samples], float)
    warm = times >= min(WARM_UP * times[-1], LONGEST_WARM_UP_SEC)
    if warm.sum() < 3:
        sys.exit('too short to tell a slope from it; raise --minutes')
    slope = float(np.polyfit(times[warm], sizes[warm], 1)[0])
    return slope * float(np.ptp(times[warm])), slope * 3600.0


def tell(samples: dict[str, Samples], limit_bytes: float) -> bool:
    """Print a line a process; whether all nodes keep within the limit."""
    print(f'{"process":28} {"CPU %":>6} {"first MB":>9} {"last MB":>8} {"growth MB":>10} '
          f'{"MB/h":>7}')
    flat = True
    for name, kept in sorted(samples.items()):
        first_mb, last_mb = (share.resident_bytes / 1e6 for _, share in (kept[0], kept[-1]))
        grown, hourly = growth_bytes(kept)
        is_flat = grown <= limit_bytes or name == RUNNER
        flat = flat and is_flat
        print(f'{name:28} {100 * cpu_of_a_core(kept):6.1f} {first_mb:9.1f} {last_mb:8.1f} '
              f'{grown / 1e6:10.2f} {hourly / 1e6:7.1f}' + ('' if is_flat else '  grows'))
    return flat


def main() -> int:
    """Return 1 where a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=60.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as name:
        stay_apart(Path(name))
        ear = Ear()
        soak = WatchedRun(60.0 * minutes, Path(name), [
            '--robot', 'sim', '--memory', f'{name}/memory.db'], ear.spin)
        exit_code = soak.run()
        ear.close()
        summary = soak.summary()
    missed = missed_seconds(ear.predicted_ns, 60.0 * minutes)
    stored = summary['memories_stored'] or 0
    limit_bytes = GROWTH_LIMIT_BYTES + GROWTH_LIMIT_BYTES_A_MEMORY * stored
    holds = {f'growth within {limit_bytes / 1e6:.1f} MB': tell(soak.samples, limit_bytes),
             'no second missed': not missed, 'run ended well': exit_code == 0}
    print(f'{len(ear.predicted_ns)} latents_next; seconds with fewer than {LEAST_A_SECOND}: '
          f'{len(missed)}' + (f', worst {min(missed.values())}, first at '
                              f'{min(missed)} s' if missed else ''))
    print(json.dumps({'question': 'does it run for an hour as in its first minute?',
                      'minutes': minutes, **summary, 'seconds_missed': len(missed),
                      'load': os.getloadavg()[0], 'cores': os.cpu_count(), 'holds': holds}))
    return 0 if all(holds.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
