"""The array of examples/slurm, submitted to a Slurm that runs here: the table is that of one machine, though a task is killed."""

import contextlib
import os
import pathlib
import signal
import subprocess

import pytest

import slurm
from conftest import FLOWQUET, TASKS, content, difference, named, parents, run, wait_for
from examples import EXAMPLES

SHARDS = 12


@pytest.fixture
def cluster():
    # It waits for Slurm most of the time, and a node starts jobs as other users.
    if "FLOWQUET_CLUSTER" not in os.environ or os.getuid() != 0:
        pytest.skip("Slurm is installed by ./test cluster, and needs root")
    assert slurm.missing() == []
    with slurm.cluster() as found:
        yield found


def below(folder):
    """Processes of flowquet that have the test's folder in their command line."""
    found = []
    for pid in named(parents(), "flowquet"):
        with contextlib.suppress(OSError):
            if str(folder) in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


def test_an_array_of_slurm(cluster, logs, one_machine, tmp_path):
    env, _ = cluster
    out, plan = tmp_path / "table", tmp_path / "backfill.json"
    script = tmp_path / "backfill.sbatch"
    text = (EXAMPLES / "slurm/backfill.sbatch").read_text()
    assert "/lake/backfill.json" in text
    script.write_text(text.replace("/lake/backfill.json", str(plan)))
    run("plan", logs, "--out", out, "--shards", SHARDS, "--save", plan, *TASKS)
    submit = ["sbatch", "--wait", f"--array=0-{SHARDS - 1}", f"--output={tmp_path}/%a.log", script]
    env = {**env, "PATH": f"{FLOWQUET.parent}:{env['PATH']}"}
    array = subprocess.Popen(submit, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for("commits", lambda: array.poll() is not None or len(list(out.glob("_flowquet/commits/**/*.json"))) >= 4)
        (victim, *_) = wait_for("a task that converts", lambda: below(tmp_path))
        os.kill(victim, signal.SIGKILL)
        # Slurm tells that one of them was killed.
        assert array.wait(timeout=120) != 0
    finally:
        array.kill()
    said = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    assert len(said) == SHARDS, said
    # The same array again: what is there is known, what is missing is performed.
    again = subprocess.run(submit, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, (again.stderr, {path.name: path.read_text() for path in tmp_path.glob("*.log")})
    assert difference(content(out), one_machine) == []
    assert all("done:" in path.read_text() for path in tmp_path.glob("*.log"))
