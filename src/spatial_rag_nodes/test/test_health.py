"""What a node says of itself: rate-limited lines, levels that fall again, nothing that escapes."""

from __future__ import annotations

from typing import Any

from spatial_rag_core.errors import JournalError, PoseError
from spatial_rag_nodes import health
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.health_checks import Finding
from spatial_rag_nodes.pending_request import BusyError

from diagnostic_msgs.msg import DiagnosticArray
import pytest

from .fake_clock import Clock, clock_of

pytestmark = pytest.mark.ros


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return clock_of(health, monkeypatch)


@pytest.fixture
def subject(lab: Any, clock: Clock) -> Health:
    return Health(lab.probe.node, lambda: {'rate_hz': 20.0})


def status_of(subject: Health, lab: Any) -> Any:
    messages = lab.probe.listen(DiagnosticArray, '/diagnostics')
    subject.publish()
    while not messages:
        lab.probe.spin(0.1)
        subject.publish()
    return messages[-1].status[0]


def test_a_repeated_problem_is_logged_at_once_and_then_every_five_seconds(
        subject: Health, clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(100):
        subject.report('pose', 'the pose is bad')
        clock.now += 0.1
    lines = [line for line in capfd.readouterr().err.splitlines() if 'the pose is bad' in line]
    assert len(lines) == 2
    assert '(50 times)' in lines[1]
    assert subject.problem_count == 100


def test_the_worst_problem_gives_the_level_and_all_are_told_until_they_are_gone(
        subject: Health, lab: Any, clock: Clock) -> None:
    subject.report('file', 'disk full', health.ERROR)
    subject.report('pose', 'no pose', health.WARN)
    status = status_of(subject, lab)
    assert (status.level, status.message) == (b'\x02', 'disk full; no pose')
    clock.now += health.HOLD_SEC + 1
    status = status_of(subject, lab)
    assert (status.level, status.message) == (b'\x00', 'ok')
    values = {item.key: item.value for item in status.values}
    assert values['rate_hz'] == '20.000'
    assert values['errors'] == '2'


def test_a_message_that_repeats_a_field_of_a_megabyte_is_cut(
        subject: Health, lab: Any, capfd: pytest.CaptureFixture[str]) -> None:
    subject.report_error(PoseError(f"frame_id is '{'x' * 1_000_000}'"))
    assert len(capfd.readouterr().err) < 2000
    assert len(status_of(subject, lab).message) < 1100
    assert status_of(subject, lab).message.endswith('… (1000014 characters)')


@pytest.mark.parametrize(('error', 'level'), [
    (PoseError('bad pose'), b'\x01'), (BusyError('too many ask'), b'\x01'),
    (JournalError('bad file'), b'\x02'), (ZeroDivisionError('bug'), b'\x02')])
def test_nothing_that_a_callback_raises_escapes(
        subject: Health, lab: Any, error: Exception, level: bytes) -> None:
    def callback(_message: object) -> None:
        raise error
    subject.guarded(callback)(None)
    status = status_of(subject, lab)
    assert status.level == level
    assert str(error) in status.message


def test_what_lasts_is_logged_at_both_ends_shown_between_and_no_error(
        subject: Health, lab: Any, clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    for count in range(20):
        subject.hold('loading', f'{count} of 20')
        clock.now += health.LOG_INTERVAL_SEC
    assert capfd.readouterr().err.count(' of 20') == 1
    status = status_of(subject, lab)
    assert (status.level, status.message) == (b'\x01', '19 of 20')
    subject.hold('loading', None)
    subject.hold('loading', None)
    assert capfd.readouterr().err.count('no longer: 19 of 20') == 1
    assert status_of(subject, lab).level == b'\x00'
    clock.now += health.LOG_INTERVAL_SEC
    subject.hold('loading', 'once more')
    assert capfd.readouterr().err.count('once more') == 1
    assert subject.problem_count == 0


def test_a_check_is_looked_at_with_each_report_until_it_is_closed(
        subject: Health, lab: Any, capfd: pytest.CaptureFixture[str]) -> None:
    found: list[Finding | None] = [Finding('the disk is nearly full', health.ERROR)]
    check = subject.check('disk', lambda: found[0])
    status = status_of(subject, lab)
    assert (status.level, status.message) == (b'\x02', 'the disk is nearly full')
    found[0] = None
    assert status_of(subject, lab).message == 'ok'
    found[0] = Finding('again')
    assert status_of(subject, lab).level == b'\x01'
    capfd.readouterr()
    check.close()
    assert status_of(subject, lab).message == 'ok'
    assert 'no longer' not in capfd.readouterr().err, 'whether it got better nobody knows'


def test_what_a_message_repeats_is_short_and_does_no_harm_in_a_terminal_or_a_message(
        subject: Health, lab: Any) -> None:
    subject.report('no pose', 'frame \n\x1b[31m\udc80' + 'x' * 70_000)
    subject.hold('file', 'frame \n')
    subject.hold('file', 'frame \n\x1b[31m')
    status = status_of(subject, lab)
    assert 'frame \\n\\x1b[31m\\udc80xxx' in status.message
    assert status.message.isprintable()
    assert len(status.message) < 3000


def test_figures_that_cannot_be_told_silence_nobody(lab: Any, clock: Clock) -> None:
    def figures() -> dict[str, object]:
        raise OSError('no such file')
    status = status_of(Health(lab.probe.node, figures), lab)
    assert status.level == b'\x02'
    assert 'no such file' in status.message
