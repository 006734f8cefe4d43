# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test-mutants` reports of a repository with one file and its tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
CODE = """
def is_larger(one, other):
    return one > other


def is_even(number):
    return number % 2 == 0
"""
TESTS = """
import os
import thing

def test_larger():
    assert thing.is_larger(2, 1)
    assert not thing.is_larger(1, 2)

def test_even():
    assert [number for number in range(2, 5) if thing.is_even(number)] == [2, 4]
"""
# Python is asked to run what has no suffix, with another table.
RUN = """
import importlib.machinery
import importlib.util
import sys

loader = importlib.machinery.SourceFileLoader("mutants", "tools/mutants")
mutants = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutants", loader))
sys.modules["mutants"] = mutants
loader.exec_module(mutants)
mutants.TESTS = {"thing.py": ("test_thing.py",)}
sys.exit(mutants.main(sys.argv[1:]))
"""
SURVIVOR = "thing.py is_larger: - return one > other + return one >= other"


@dataclass(frozen=True)
class Repository:
    """A repository of its own."""

    root: Path

    def run(self, *names: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", "-c", RUN, *names]
        # Plugins take longer to import than all tests here to run, and what is tried here is no test of the run that counts its tests.
        theirs = {
            name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "ACCEL_QAT_TALLY")
        }
        without_plugins = {**theirs, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(command, cwd=self.root, env=without_plugins, capture_output=True, text=True, check=False)

    @property
    def remembered(self) -> int:
        found = self.root / "build/mutants.killed"
        return len(found.read_text().split()) if found.exists() else 0


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    texts = {
        "thing.py": CODE,
        "test_thing.py": TESTS,
        "tests/mutants.txt": "",
        ".gitignore": "build\n",
        "pytest.ini": "[pytest]\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tools").mkdir()
    shutil.copy(CHECKOUT / "tools/mutants", tmp_path / "tools/mutants")
    for words in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return Repository(tmp_path)


def test_a_survivor_is_printed_and_the_others_are_not_tried_again(repository: Repository) -> None:
    first = repository.run()
    assert first.returncode == 1, first.stderr
    assert f"survived: {SURVIVOR}\n" in first.stdout
    tried = repository.remembered + 1
    assert first.stdout.endswith(f"thing.py: {tried} mutants tried, 1 survived\n")
    second = repository.run("thing.py")
    assert second.returncode == 1, second.stderr
    assert second.stdout.startswith(f"thing.py: 1 of {tried} mutants to try, 0 are equivalents\n")
    assert not list((repository.root / "build/mutants").iterdir())


def test_an_equivalent_is_no_survivor(repository: Repository) -> None:
    (repository.root / "tests/mutants.txt").write_text(f"{SURVIVOR}  # nobody asks about equal ones\n")
    done = repository.run("thing.py:is_larger")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" mutants tried, 0 survived\n")


def test_what_ends_the_tests_otherwise_proves_nothing(repository: Repository) -> None:
    killed = TESTS.replace("    assert [", "    if thing.is_even(3):\n        os.kill(os.getpid(), 9)\n    assert [")
    (repository.root / "test_thing.py").write_text(killed)
    done = repository.run("thing.py:is_even")
    assert done.returncode == 1, done.stderr
    assert "not tried to the end, which came by signal 9: thing.py is_even: " in done.stdout


def test_tests_that_fail_without_a_change_prove_nothing(repository: Repository) -> None:
    (repository.root / "test_thing.py").write_text(TESTS.replace("(2, 1)", "(1, 1)"))
    done = repository.run()
    assert done.returncode == 1, done.stderr
    assert "mutants: the tests of thing.py fail without any change, in their order or backwards\n" in done.stdout
    assert repository.remembered == 0


def test_a_function_that_is_not_there(repository: Repository) -> None:
    done = repository.run("thing.py:is_evn")
    assert done.returncode == 1, done.stderr
    reason = "nothing in a function is_evn of thing.py can be changed; say Class.method of a method"
    assert done.stdout.endswith(f"mutants: {reason}\n")


def test_a_file_that_is_not_there(repository: Repository) -> None:
    done = repository.run("things.py")
    assert (done.returncode, done.stderr) == (1, "mutants: no such file in the table: things.py\n")


def test_the_copy_of_a_run_that_was_killed_is_removed(repository: Repository) -> None:
    (repository.root / "build/mutants/thing.py-999999999").mkdir(parents=True)
    repository.run("thing.py:is_larger")
    assert not list((repository.root / "build/mutants").iterdir())
