"""The sample commits, a writer in a process of its own, and children of another user."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import gateway
from gateway.store.log import Ledger

HERE = Path(__file__).parent
ROOT = Path(gateway.__file__).parents[1]
NOBODY = 65534


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("store_sample", HERE / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ledger(tmp_path: Path, sample: ModuleType) -> Iterator[Ledger]:
    ledger = sample.open_ledger(tmp_path)
    yield ledger
    ledger.close()


class Writer:
    """`sample.py` as a process: it commits, says so, and dies or closes as told."""

    def __init__(self, path: Path, rounds: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, HERE / "sample.py", path, str(rounds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        )  # fmt: skip
        self.wait_for("ready")

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def wait_for(self, word: str) -> None:
        while (line := self.line()) != word:
            assert line, "the writer process died"

    def kill(self) -> list[int]:
        """kill -9; the commits that it had called safe and that were not read yet."""
        self.process.kill()
        rest, _ = self.process.communicate()
        return [int(line) for line in rest.split("\n")[:-1] if line.isdigit()]

    def close(self) -> None:
        self.process.communicate("close\n", timeout=10)
        assert self.process.returncode == 0


@pytest.fixture
def writer() -> Iterator[Callable[[Path, int], Writer]]:
    started: list[Writer] = []

    def start(path: Path, rounds: int) -> Writer:
        started.append(Writer(path, rounds))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that another user can enter (pytest's own cannot be)."""
    path = Path(tempfile.mkdtemp(prefix="wattledger-test-"))
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def in_child(work: Callable[[], str]) -> str:
    """What `work` returns in a forked child; its failure is ours."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        code = 0
        try:
            answer = work()
        except BaseException:  # noqa: BLE001  the parent raises it
            answer, code = traceback.format_exc(), 1
        with open(theirs, "w", encoding="utf-8") as pipe:
            pipe.write(answer)
        os._exit(code)
    os.close(theirs)
    with open(ours, encoding="utf-8") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, answer
    return answer


@pytest.fixture
def child() -> Callable[[Callable[[], str]], str]:
    return in_child
