from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
from pathlib import Path
import resource
import signal
import subprocess
import sys
import textwrap
from typing import Any

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.training.fitting import fit, FitFigures, FitOptions, Schedule

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

AIM = torch.tensor([1.0, 2.0, 3.0])
CPU = FitOptions(accelerator='cpu', devices=1)
SCHEDULE = Schedule(steps=20, validate_every=5, patience=3, watch='valid/loss')
VALIDATION = DataLoader(TensorDataset(torch.zeros(4)), batch_size=4)


class Line(lightning.LightningModule):
    """Three weights that are to become (1, 2, 3), with noise of torch's lot on the way."""

    def __init__(self, rate: float = 0.05) -> None:
        super().__init__()
        self.w, self.rate = torch.nn.Parameter(torch.zeros(3)), rate
        self.validations: list[float] = []

    def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
        self.hook(batch)
        noise = 0.1 * torch.randn(3)
        return (batch @ (self.w + noise - AIM)).square().mean()

    def validation_step(self, batch: Any, batch_index: int) -> None:
        loss = (self.w - AIM).square().mean()
        self.validations.append(float(loss))
        self.log('valid/loss', loss)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), self.rate)

    def hook(self, batch: torch.Tensor) -> None:
        """For a test to do something at a step."""


class Batches:
    """Without end, the same from each beginning; calls `at` with the number of each."""

    def __init__(self, at: Callable[[int], None] = lambda _: None) -> None:
        self.at = at

    def __iter__(self) -> Iterator[torch.Tensor]:
        lot, number = torch.Generator().manual_seed(0), 0
        while True:
            number += 1
            self.at(number)
            yield torch.randn(4, 3, generator=lot)


def train(module: Line, options: FitOptions = CPU, at: Callable[[int], None] = lambda _: None,
          **schedule: Any) -> FitFigures:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return fit(module, Batches(at), VALIDATION, dataclasses.replace(SCHEDULE, **schedule),
                   options)


def power_cut(number: int) -> None:
    if number == 13:
        raise RuntimeError('power cut')


def ctrl_c(number: int) -> None:
    if number == 13:
        signal.raise_signal(signal.SIGINT)


def sigterm(number: int) -> None:
    if number == 13:
        signal.raise_signal(signal.SIGTERM)


def in_folder(path: Path, **changes: Any) -> FitOptions:
    return dataclasses.replace(CPU, folder=path, **changes)


def test_the_module_ends_with_its_best_weights_and_the_figures_say_when() -> None:
    module = Line(rate=1.0)
    figures = train(module, steps=10, validate_every=1, patience=10)
    assert figures.steps == 10
    assert figures.best == pytest.approx(min(module.validations))
    assert module.validations[figures.best_step - 1] == min(module.validations)
    assert float((module.w.detach() - AIM).square().mean()) == pytest.approx(figures.best)
    assert not figures.stopped_early


def test_it_ends_when_nothing_gets_better() -> None:
    figures = train(Line(rate=0.0), steps=100)
    assert figures.stopped_early
    assert figures.steps == 5 * (1 + SCHEDULE.patience)


def test_without_a_folder_nothing_is_written(tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train(Line())
    assert not list(tmp_path.iterdir())


def test_a_folder_gets_checkpoints_and_tensorboards_file(tmp_path: Path) -> None:
    train(Line(), in_folder(tmp_path / 'deep/er'))
    names = {path.name for path in (tmp_path / 'deep/er').iterdir()}
    assert names == {'last.ckpt', 'best.ckpt', 'tensorboard'}


def test_it_says_nothing_where_no_progress_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    train(Line())
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('cut_off', [power_cut, ctrl_c, sigterm])
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(
        cut_off: Callable[[int], None], tmp_path: Path) -> None:
    whole, before, after = Line(), Line(), Line()
    expected = train(whole, in_folder(tmp_path / 'whole'))
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        train(before, in_folder(tmp_path / 'cut'), cut_off)
    figures = train(after, in_folder(tmp_path / 'cut', resume=True))
    assert torch.equal(after.w, whole.w)
    assert before.validations[:2] + after.validations == whole.validations
    assert dataclasses.replace(figures, seconds=0.0) == dataclasses.replace(expected, seconds=0.0)


@pytest.mark.parametrize('rate', [0.05, 0.0])
def test_resuming_what_is_finished_trains_no_more(rate: float, tmp_path: Path) -> None:
    first, again = Line(rate), Line(rate)
    expected = train(first, in_folder(tmp_path))
    figures = train(again, in_folder(tmp_path, resume=True))
    assert torch.equal(first.w, again.w)
    assert not again.validations
    assert dataclasses.replace(figures, seconds=0.0) == dataclasses.replace(expected, seconds=0.0)


def test_patience_goes_on_from_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match='power cut'):
        train(Line(rate=0.0), in_folder(tmp_path), power_cut)
    figures = train(Line(rate=0.0), in_folder(tmp_path, resume=True), steps=100)
    assert figures.steps == 5 * (1 + SCHEDULE.patience)


def test_resuming_where_there_is_nothing_begins(tmp_path: Path) -> None:
    assert train(Line(), in_folder(tmp_path, resume=True)).steps == 20


def test_what_begins_anew_cannot_be_mixed_up_with_what_was_there(tmp_path: Path) -> None:
    train(Line(), in_folder(tmp_path))

    def at_once(number: int) -> None:
        raise RuntimeError('power cut')

    with pytest.raises(RuntimeError, match='power cut'):
        train(Line(), in_folder(tmp_path), at_once)
    module = Line()
    train(module, in_folder(tmp_path, resume=True))
    assert len(module.validations) == 4


@pytest.mark.parametrize('end', [ctrl_c, sigterm])
def test_ctrl_c_ends_it_with_what_to_do_and_the_next_one_is_heard_again(
        end: Callable[[int], None], tmp_path: Path) -> None:
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt, match=r'last\.ckpt is kept, go on with --resume'):
        train(Line(), in_folder(tmp_path), end)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_loss_that_is_not_finite_is_told_with_the_remedy(tmp_path: Path) -> None:
    module = Line()
    module.hook = lambda batch: module.w.data.fill_(torch.nan)  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match='valid/loss is nan after 5 steps; lower learning_ra'):
        train(module)


def test_a_loss_that_ceases_to_be_finite_is_not_passed_over(tmp_path: Path) -> None:
    module = Line()

    def poison(number: int) -> None:
        if number == 8:
            module.w.data.fill_(torch.inf)

    with pytest.raises(TrainingError, match='after 10 steps; lower learning_rate'):
        train(module, at=poison)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(TrainingError, match=r'file/run: cannot be written .*choose a folder'):
        train(Line(), in_folder(tmp_path / 'file/run'))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # a file of 1 kB is full
    try:
        with pytest.raises(TrainingError, match=r'cannot be written .*has space'):
            train(Line(), in_folder(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(path.read_bytes()[:500]),
    lambda path: path.write_bytes(b''),
    lambda path: path.write_text('no checkpoint'),
    lambda path: torch.save({'state_dict': {}}, path),
    lambda path: torch.save([1, 2], path),
])
def test_a_damaged_checkpoint_is_told_with_the_remedy(
        damage: Callable[[Path], None], tmp_path: Path) -> None:
    train(Line(), in_folder(tmp_path))
    damage(tmp_path / 'last.ckpt')
    with pytest.raises(TrainingError, match=r'last\.ckpt: cannot go on from here .*anew without'):
        train(Line(), in_folder(tmp_path, resume=True))


def test_a_checkpoint_of_another_network_is_told(tmp_path: Path) -> None:
    train(Line(), in_folder(tmp_path))
    other = Line()
    other.w = torch.nn.Parameter(torch.zeros(4))
    with pytest.raises(TrainingError, match='with the configuration that it began with'):
        train(other, in_folder(tmp_path, resume=True))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    train(Line(), in_folder(tmp_path))
    torch.save({'state_dict': Bomb(tmp_path / 'ran')}, tmp_path / 'last.ckpt')
    with pytest.raises(TrainingError, match='cannot go on from here'):
        train(Line(), in_folder(tmp_path, resume=True))
    assert not (tmp_path / 'ran').exists()


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize('changes', [
    {'accelerator': 'abacus'}, {'devices': 'many'}, {'devices': 0}, {'strategy': 'hope'}])
def test_a_machine_that_there_is_not_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r'cannot train on accelerator .*leave them at'):
        train(Line(), dataclasses.replace(CPU, **changes))


def test_options_are_checked_at_birth() -> None:
    with pytest.raises(ConfigurationError, match='resume needs the folder'):
        FitOptions(resume=True)
    with pytest.raises(ConfigurationError, match='num_nodes must be > 0, got 0'):
        FitOptions(num_nodes=0)


SEVERAL = """
    import sys
    from spatial_rag_core.training.fitting import fit, FitOptions, Schedule
    import lightning
    import torch
    from torch import distributed
    from torch.utils.data import DataLoader, IterableDataset, TensorDataset

    class Ranks(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(1))

        def training_step(self, batch, batch_index):
            return (self.w * batch).mean()

        def validation_step(self, batch, batch_index):
            self.log('valid/loss', self.w.mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1.0)

    class OwnNumber(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.tensor(float(distributed.get_rank()))

    if __name__ == '__main__':
        module = Ranks()
        figures = fit(module, DataLoader(OwnNumber(), batch_size=None),
                      DataLoader(TensorDataset(torch.zeros(1))), Schedule(4, 2, 3, 'valid/loss'),
                      FitOptions(accelerator='cpu', devices=2, strategy=sys.argv[1]))
        sys.stdout.write(f'{float(module.w.detach())} {figures.best} {figures.steps}\\n')
"""


@pytest.mark.timeout(110)
@pytest.mark.parametrize(('strategy', 'told'), [('ddp', 2), ('ddp_fork', 1)])
def test_two_processes_learn_together_and_all_end_with_the_best_weights(
        strategy: str, told: int, tmp_path: Path) -> None:
    script = tmp_path / 'several.py'
    script.write_text(textwrap.dedent(SEVERAL))
    done = subprocess.run([sys.executable, script, strategy], capture_output=True, text=True,
                          timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    # The mean of the gradients 0 and 1 in each of four steps of rate 1.
    assert done.stdout.splitlines() == ['-2.0 -2.0 4'] * told
