"""
Do the nodes stand what nobody should send them? COUNT malformed messages, fuzzed and garbage.

The stack, the visualizer and the recorder of episodes run on the simulated robot, a process a
node, while messages with wrong fields, sizes, encodings, NaNs and stamps, and bytes that are no
messages at all, go into every topic that they subscribe to and every service that they offer, as
the running graph tells; of changes of state only those that there are not, for others would
rightly end a node. Each node must live and answer, say on /diagnostics what it refused, never by
an internal error, and leak no more than `--leak-kb` (2) for each message to it; the robot must go
on predicting. `--sources other`: the same on odometry, twist, transforms and compressed pictures
and depth maps, with a model that takes all inputs; both together reach every subscription that
there is. `--count N` (100 000), `--seed N`. Prints how it went, and ends with 1 where something of
that does not hold.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
import json
import os
from pathlib import Path
import random
from statistics import median
import sys
import tempfile
import time

from spatial_rag_bringup.check_alive import troubles_of

from fuzz_setups import commands, SOURCES
from fuzz_targets import Heard, Requests, Topics
from malformed import Malformer
import other_sources
from running_stack import Ear, PoweredStack, stay_apart

START_TIMEOUT_SEC, ANSWER_TIMEOUT_SEC = 90.0, 60.0
SAMPLING_ROUNDS = 4
"""So many seconds it is listened to what is sent rightly, to spoil that."""
A_ROUND = 5
"""Messages into each topic between two requests to each service."""
PARTS = 6
"""
Memory is weighed after each: what is a leak grows in most of them, and what takes its room once,
such as a queue, does not.
"""
PREDICTIONS_AFTERWARDS = 20
DIAGNOSTICS_SEC, ALIVE_SEC = 3.0, 10.0
"""Nodes tell their state once a second; at the end also to one who asks only then."""


class Fuzz:
    """Sends, and watches the processes."""

    def __init__(self, stack: PoweredStack, ear: Ear, seed: int) -> None:
        self._stack, self._ear = stack, ear
        self._malformer = Malformer(random.Random(seed))
        self.heard, self.topics = Heard(ear.node), Topics(ear.node)
        self.weighed: dict[str, list[tuple[int, float]]] = {}
        """Of each process after each part: messages to it until then, resident kB."""

    def prepare(self) -> None:
        """Find the targets, and what is sent there rightly."""
        self._ear.until(lambda: self._is_up() or bool(self._stack.dead()), START_TIMEOUT_SEC)
        if not self._is_up():
            raise SystemExit(f'the stack predicts nothing: {self._stack.dead()}')
        self.topics.watch()
        for _ in range(SAMPLING_ROUNDS):
            self.topics.discover()
            self._ear.spin(1.0)
        self.topics.stop_listening()
        self.requests = Requests(self._ear.node)
        self._ear.spin(1.0)
        self.topics.fill_queues()

    def _is_up(self) -> bool:
        """Whether it predicts, and every node has told its state."""
        telling = set(self._stack.taken()) - {other_sources.NAME}
        return bool(self._ear.predicted_ns) and telling <= set(self.heard.last_sec)

    def run(self, count: int) -> None:
        """Until all is sent, or a process has ended."""
        sent, part, told_sec = 0, 1, time.monotonic()
        while sent < count and not self._stack.dead():
            for _ in range(A_ROUND):
                sent += self.topics.send(self._malformer)
            sent += self.requests.send(self._malformer)
            self.requests.wait(self._ear, 1.0)
            if part * count / PARTS <= sent < count:
                part += 1
                self._weigh()
            if time.monotonic() - told_sec > 10.0:
                told_sec = time.monotonic()
                print(f'{sent} sent', file=sys.stderr, flush=True)
        self.requests.wait(self._ear, ANSWER_TIMEOUT_SEC)
        self._ear.spin(DIAGNOSTICS_SEC)
        self._weigh()

    def silent(self) -> list[str]:
        """Subscribers that say nothing, or nothing of what they refused."""
        subscribers = set(self.topics.of_node)
        said = {name for name in subscribers if self.heard.problems.get(name)}
        return sorted({*subscribers - said, *troubles_of([*said], ALIVE_SEC)})

    def _sent_to(self, node: str) -> int:
        """Messages and requests that went to a node."""
        return sum(sent for targets in (self.topics, self.requests)
                   for name, sent in targets.sent.items()
                   if name in targets.of_node.get(node, ()))

    def _weigh(self) -> None:
        for name, (_, resident_bytes) in self._stack.taken().items():
            self.weighed.setdefault(name, []).append((self._sent_to(name), resident_bytes / 1e3))

    def leak_kb(self) -> dict[str, float]:
        """Growth of each process for each message to it: the median of the later parts."""
        return {name: round(median(
            (after - before) / (sent_after - sent_before)
            for (sent_before, before), (sent_after, after) in pairwise(weighed)
            if sent_after > sent_before), 3)
            for name, weighed in self.weighed.items()
            if len(weighed) == PARTS and weighed[-1][0] > weighed[0][0]}

    def goes_on(self) -> bool:
        """Whether the robot, which was there all the time, predicts as before."""
        before = len(self._ear.predicted_ns)
        return self._ear.until(
            lambda: len(self._ear.predicted_ns) >= before + PREDICTIONS_AFTERWARDS, 60.0)


def main() -> int:
    """Return 1 where a node does not stand it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=100_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--leak-kb', type=float, default=2.0,
                        help='limit of each process, for each message to it')
    parser.add_argument('--sources', choices=[*SOURCES], default='usual')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stay_apart(folder)
        os.chdir(folder)  # what a wrong path makes lies there
        ear = Ear()
        with (folder / 'nodes.log').open('w') as log:
            stack = PoweredStack(commands(options.sources, folder), log)
            stack.power_on()
            fuzz = Fuzz(stack, ear, options.seed)
            try:
                fuzz.prepare()
                fuzz.run(options.count)
                dead, silent, goes_on = stack.dead(), fuzz.silent(), fuzz.goes_on()
            except SystemExit:
                print((folder / 'nodes.log').read_text(errors='replace')[-3000:])
                raise
            finally:
                stack.power_off()
        ear.close()
        os.chdir('/')
        return report(fuzz, dead, silent, goes_on, options.leak_kb,
                      (folder / 'nodes.log').read_text(errors='replace'))


def report(fuzz: Fuzz, dead: list[str], silent: list[str], goes_on: bool,
           leak_limit_kb: float, log: str) -> int:
    """Print what was sent and how the nodes are."""
    sent = {**fuzz.topics.sent, **fuzz.requests.sent}
    leak_kb = fuzz.leak_kb()
    internal = sorted({*fuzz.requests.internal_errors, *(
        line for line in log.splitlines() if 'internal error' in line or 'Traceback' in line)})
    for node, problems in sorted(fuzz.heard.problems.items()):
        print(f'{node}: {dict(problems.most_common(8))}')
        print(f'  last: {fuzz.heard.messages.get(node, "")[:200]!r}')
    for line in (*dead, *internal[:30], *(f'no answer: {name}'
                                          for name in fuzz.requests.unanswered)):
        print(line[:400])
    if dead:
        print('\n'.join(log.splitlines()[-40:]))
    holds = {'no crash': not dead, 'no internal error': not internal,
             'every request answered': not fuzz.requests.unanswered,
             f'leak within {leak_limit_kb:g} kB a message': bool(leak_kb) and all(
                 leak <= leak_limit_kb for leak in leak_kb.values()),
             'every subscriber says what it refused': not silent, 'goes on afterwards': goes_on}
    print('sent to', ', '.join(f'{name} ({count})' for name, count in sent.items()))
    print(json.dumps({
        'question': 'do the nodes stand malformed messages?', 'sent': sum(sent.values()),
        'topics': len(fuzz.topics.sent), 'services': len(fuzz.requests.sent),
        'least_sent_to_one': min(sent.values()), 'leak_kb_a_message': leak_kb,
        'sent_to': {name: weighed[-1][0] for name, weighed in fuzz.weighed.items()},
        'resident_mb': {name: [round(size / 1e3) for _, size in weighed]
                        for name, weighed in fuzz.weighed.items()},
        'silent': silent, 'holds': holds}), flush=True)
    return 0 if all(holds.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
