"""Arrays of jobs, emulated: each index in a process of its own, with the variables that its scheduler sets, in a random order, some of
them twice. The command lines are those of examples/."""

import json
import os
import random
import subprocess

import pytest

import examples
from conftest import FLOWQUET, TASKS, content, difference, run
from examples import EXAMPLES

#: As many as the plan of these logs fills, and one more, which has nothing to do.
SHARDS = 25


def clean():
    """Nothing of a scheduler that the tests themselves run under."""
    names = ("AWS_BATCH_", "JOB_", "SLURM_", "FLOWQUET_")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)}


def slurm(index):
    """As sbatch sets them for `--array=0-24`."""
    ids = {"TASK_ID": index, "TASK_COUNT": SHARDS, "TASK_MIN": 0, "TASK_MAX": SHARDS - 1, "TASK_STEP": 1}
    return {f"SLURM_ARRAY_{name}": str(value) for name, value in ids.items()} | {"SLURM_CPUS_PER_TASK": "1"}


#: Where a command stands, and the variables of the job with an index.
ARRAYS = {
    "batch": ("batch/job-definition.json", lambda index: {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}),
    "kubernetes": ("kubernetes/backfill-job.yaml", lambda index: {"JOB_COMPLETION_INDEX": str(index)}),
    "slurm": ("slurm/backfill.sbatch", slurm),
}


def command_of(path, plan):
    """The example's command that converts, for the plan of the test."""
    (command,) = (given for given in examples.commands_of(EXAMPLES / path) if given[:2] == ["convert", "--plan"])
    command = [word.replace("${SLURM_CPUS_PER_TASK:-2}", "1") for word in command]
    command[2] = str(plan)
    return command


def in_any_order(indices, seed):
    """All of them, and some a second time."""
    dice = random.Random(seed)
    order = [*indices, *dice.sample(list(indices), 3)]
    dice.shuffle(order)
    return order


def perform(command, env):
    done = subprocess.run([FLOWQUET, *command, "--quiet"], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize("array", ARRAYS)
def test_an_array_makes_the_table_of_one_machine(array, logs, one_machine, tmp_path):
    path, variables = ARRAYS[array]
    out, plan = tmp_path / "table", tmp_path / "plan.json"
    run("plan", logs, "--out", out, "--shards", SHARDS, "--save", plan, *TASKS)
    for index in in_any_order(range(SHARDS), array):
        perform(command_of(path, plan), clean() | variables(index))
    assert difference(content(out), one_machine) == []


def test_a_distributed_map_makes_the_table_of_one_machine(logs, one_machine, tmp_path):
    out, plan = tmp_path / "table", tmp_path / "plan.json"
    items = run("plan", logs, "--out", out, "--save", plan, "--jsonl", *TASKS).stdout.splitlines()
    assert len(items) == 24
    (command,) = (given for given in examples.commands_of(EXAMPLES / "step-functions/backfill.asl.json") if "--plan" in given)
    for item in in_any_order(items, "map"):
        values = {f"$.{name}": str(value) for name, value in json.loads(item).items()}
        perform([values.get(word, word) for word in command], clean())
    assert difference(content(out), one_machine) == []
