"""The journal across real processes: tailing it, and the sudden death of its writer."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position

WRITER = """
import sys
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position

journal = Journal.open_writer(sys.argv[1], JournalSpec(z_dim=2))
for line in sys.stdin:
    number = int(line)
    seqs = journal.append([Memory(f'{number}', as_latent([number, 1]), Pose(Position(number, 0)),
                                  '8d754e64992d6ff', float(number), 'model',
                                  thumbnail=bytes(5000))])
    print(number, *seqs, flush=True)
"""
READER = """
import sys
from spatial_rag_core.memory.journal import Journal

journal, seq = None, 0
for line in sys.stdin:
    journal = journal or Journal.open_reader(sys.argv[1])
    rows = journal.index_rows_after(seq)
    seq = int(rows.seqs[-1])
    print(*rows.seqs.tolist(), flush=True)
"""
SPEC = JournalSpec(z_dim=2)


def start(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, '-c', program, str(path)], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(process: subprocess.Popen[str], line: object) -> list[int]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f'{line}\n')
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, f'the process ended with {process.wait(20)}'
    return [int(word) for word in answer.split()]


def test_a_writer_killed_right_after_append_returned_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    acknowledged: list[int] = []
    for life in range(3):
        with start(WRITER, path) as writer:
            acknowledged += [ask(writer, 100 * life + n)[0] for n in range(10)]
            writer.send_signal(signal.SIGKILL)
            assert writer.wait(20) == -signal.SIGKILL
        reader = Journal.open_reader(path)
        assert reader is not None
        with reader:
            found = reader.get(reader.index_rows_after(0).seqs.tolist())
        assert [int(found[seq].id) for seq in sorted(found)] == acknowledged
        assert {len(memory.thumbnail) for memory in found.values()} == {5000}
    with Journal.open_writer(path, SPEC) as journal:
        assert journal.stats().count == 30


def test_a_writer_killed_in_the_middle_of_a_batch_leaves_whole_memories(tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    with start(WRITER, path) as writer:
        assert writer.stdin is not None
        last_acknowledged = ask(writer, 0)[0]
        writer.stdin.write('\n'.join(map(str, range(1, 5000))) + '\n')
        writer.stdin.flush()
        assert writer.stdout is not None
        for _ in range(20):
            last_acknowledged = int(writer.stdout.readline().split()[0])
        writer.kill()
    with Journal.open_writer(path, SPEC) as journal:
        found = journal.get(journal.index_rows_after(0).seqs.tolist())
        assert sorted(int(memory.id) for memory in found.values()) == list(range(len(found)))
        assert last_acknowledged < len(found) < 5000
        assert all(memory.vector[0] == int(memory.id) and len(memory.thumbnail) == 5000
                   for memory in found.values())


def test_a_reader_in_another_process_tails_the_writer(tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    with Journal.open_writer(path, SPEC) as journal, start(READER, path) as reader:
        for batch in ([0], [1, 2], [3], [4, 5, 6]):
            seqs = journal.append([
                Memory(str(n), as_latent([n, 1]), Pose(Position(n, 0)), '8d', float(n), 'model')
                for n in batch])
            assert ask(reader, 'next') == seqs
        assert reader.stdin is not None
        reader.stdin.close()
        assert reader.wait(20) == 0
