"""What tests of many machines share: the programs, tables compared byte by byte, and processes that are ended by their ids."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / os.environ.get("FLOWQUET_PROFILE", "debug")
FLOWQUET = TARGET / "flowquet"
FLOWLOGS = TARGET / "flowlogs"

# The S3 servers and their client are those of the reader tests, the package is the checkout's.
sys.path += [str(ROOT / "tests/readers"), str(ROOT / "python/src")]


def run(*args, check=0, **options):
    """Runs flowquet; `check` is the expected exit code, or None for any."""
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL} | options
    process = subprocess.run([FLOWQUET, *map(str, args)], **options)
    assert check is None or process.returncode == check, (process.returncode, process.stderr)
    return process


def flowlogs(out, *args):
    subprocess.run([FLOWLOGS, out, *map(str, args)], check=True)
    return out


def content(out):
    """Every file of a table by its key: data, rejects, plans, commits and contract; also what a killed process was writing, if nobody swept it.

    Checkpoints are left out: they only save reading, and are put by whichever process comes by when one is due.
    """
    out = pathlib.Path(out)
    keys = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    return {key: path.read_bytes() for key, path in keys.items() if not key.startswith("_flowquet/checkpoints/")}


def difference(one, other):
    """Keys that only one of two tables has, or whose bytes differ."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def parents():
    """Process ids and those of their parents."""
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
    return found


def tree(pid):
    """A process and all below it, the lowest last."""
    of, found = parents(), [pid]
    for parent in found:
        found += [child for child, its in of.items() if its == parent]
    return found


def named(pids, name):
    """Those of `pids` that run the program `name`."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{pid}/exe").resolve().name == name:
                found.append(pid)
    return found


def end(process):
    """Ends a process that a test started, and all that it started, at once."""
    for pid in tree(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def wait_for(what, of, seconds=60.0):
    """The first true answer of `of`, asked again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = of()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError(f"{what}: not within {seconds} s")


#: Arguments that make a plan of two dozen tasks of these logs.
TASKS = ["--file-bytes", "300K"]


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    """Logs for some dozen tasks, each of which takes a moment."""
    return flowlogs(tmp_path_factory.mktemp("logs"), "--objects", 24, "--records", 12_000, "--every-s", 3_600)


@pytest.fixture(scope="session")
def one_machine(logs, tmp_path_factory):
    """The table that one process makes of them."""
    out = tmp_path_factory.mktemp("one") / "table"
    run("convert", logs, "--out", out, "--quiet", *TASKS)
    found = content(out)
    assert sum("/commits/" in key for key in found) >= 24, "some dozen tasks"
    return found
