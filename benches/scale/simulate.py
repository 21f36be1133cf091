#!/usr/bin/env python3
"""A simulation of a backfill on many machines: 10⁶ objects and 10⁴ tasks on 100 workers that fail, and some of which are slow.

    python3 benches/scale/simulate.py [--seeds 11] [--workers 100]

What a task takes is computed from what benches/scale/measure.py measured; everything that happens to workers is made up, as told below.
Same seed, same figures. Checked in each run: every task is committed exactly once, and work done = needed + lost or done twice.

A shard is an attempt of a process on one worker with one core. It reads the plan, performs its tasks one by one, and each becomes visible by
a commit that is put if absent. A worker that is lost loses what it had not committed; its shard is tried again, and skips what is
committed. A second attempt of a slow shard (speculation) takes its tasks in the opposite order and does not know what the first one does meanwhile:
both do work twice, and whoever commits a task first has done it. The work is over when all tasks are committed.
"""

import argparse
import functools
import heapq
import random
import statistics
from typing import NamedTuple

# From measure.py: CPU seconds of one core.
SECONDS_A_GB = 16.7  # of gzip
SECONDS_AN_OBJECT = 185e-6
SECONDS_A_PLANNED_OBJECT = 4.6e-6  # in each shard, which reads the plan of all
SECONDS_A_SHARD = 0.02
# A shard reads what the others have committed so far: its CPU, and 20 ms of waiting, 64 at once.
SECONDS_A_COMMIT = 145e-6 + 0.02 / 64

# The logs, made up: sizes of objects vary as those of many interfaces may; tasks are as large as fills a file of 256 MiB, by measure.py.
OBJECTS = 1_000_000
TASKS = 10_000
MEDIAN_BYTES, SIGMA = 2.26e6, 1.0

# What happens to workers, made up: Spot machines that are taken away, each once in two hours, and machines that share their cores with others.
MEAN_LIFE_S = 2 * 3600.0
REPLACED_AFTER_S = 180.0
SLOW_SHARE, SLOW_FACTOR = 0.02, 5.0
START_S = 2.0  # of a container or a task of Spark
BETWEEN_PLANS_S = 10.0  # an ordinary run, which puts a checkpoint, and the next plan
# Spark's defaults: a shard that takes 3 times the median of those that are done, once 90 % are done.
SPECULATION_QUANTILE, SPECULATION_FACTOR = 0.9, 3.0


class Outcome(NamedTuple):
    """What a backfill took."""

    hours: float
    efficiency: float
    wasted_share: float
    overhead_share: float
    attempts: int
    lost: int


class Shard:
    """Tasks that one process performs, and the attempts that are under way."""

    def __init__(self, tasks):
        self.tasks, self.running, self.began, self.is_done = tasks, {}, None, False


@functools.cache
def logs(seed):
    """Seconds of work of each task, and bytes of all."""
    seconds, dice = [], random.Random(f"logs {seed}")
    sizes = [dice.lognormvariate(0, SIGMA) * MEDIAN_BYTES for _ in range(OBJECTS)]
    whole, per_task = sum(sizes), sum(sizes) / TASKS
    task, objects = 0.0, 0
    for size in sizes:
        task, objects = task + size, objects + 1
        if task >= per_task and len(seconds) < TASKS - 1:
            seconds.append(task / 1e9 * SECONDS_A_GB + objects * SECONDS_AN_OBJECT)
            task, objects = 0.0, 0
    seconds.append(task / 1e9 * SECONDS_A_GB + objects * SECONDS_AN_OBJECT)
    return seconds, whole


def simulate(seed, shards, workers, speculation, plans):
    """One backfill: one plan, or several plans of as many tasks, one after the other."""
    seconds, _ = logs(seed)
    dice = random.Random(seed)
    rounds = []
    for plan in range(plans):
        part = seconds[plan * len(seconds) // plans : (plan + 1) * len(seconds) // plans]
        rounds.append((sum(part), perform(dice, part, shards // plans, workers, speculation, OBJECTS // plans)))
    needed, hours = sum(seconds), sum(outcome.hours for _, outcome in rounds) + (plans - 1) * BETWEEN_PLANS_S / 3600
    whole = [sum(its * getattr(outcome, name) for its, outcome in rounds) / needed for name in ("wasted_share", "overhead_share")]
    return Outcome(hours, needed / (hours * 3600 * workers), *whole, sum(o.attempts for _, o in rounds), sum(o.lost for _, o in rounds))


def perform(dice, seconds, shards, workers, speculation, objects):
    """One plan, of tasks that take these seconds."""
    needed = sum(seconds)
    read_plan = SECONDS_A_SHARD + objects * SECONDS_A_PLANNED_OBJECT
    parts = [Shard(list(range(index, len(seconds), shards))) for index in range(shards)]
    committed, done_at = {}, 0.0
    worked = overhead = 0.0
    attempts = lost = 0
    waiting = list(reversed(parts))
    took = []
    # Events: time, tie-breaker, what, and whom it is about.
    events, ticket = [], iter(range(1 << 60))

    def push(time, what, *whom):
        heapq.heappush(events, (time, next(ticket), what, whom))

    lives = {}
    idle = []
    under_way = {}

    def hire(time, worker):
        lives[worker] = lives.get(worker, 0) + 1
        push(time + dice.expovariate(1 / MEAN_LIFE_S), "lost", worker, lives[worker])
        idle.append(worker)

    def start(time, worker, shard):
        """The whole attempt is laid out; what others commit meanwhile is seen when it comes to a task."""
        nonlocal attempts
        attempts += 1
        slow = SLOW_FACTOR if dice.random() < SLOW_SHARE else 1.0
        order = [task for task in shard.tasks if task not in committed]
        if shard.running:
            order.reverse()
        shard.running[worker] = (time, slow, iter(order))
        shard.began = time if shard.began is None else shard.began
        reading = (read_plan + len(committed) * SECONDS_A_COMMIT) * slow
        push(time + START_S + reading, "ready", worker, lives[worker], shard, reading)

    def step(time, worker, shard):
        """Goes on to the next task that nobody has committed."""
        began, slow, order = shard.running[worker]
        for task in order:
            if task not in committed:
                push(time + seconds[task] * slow, "task", worker, lives[worker], shard, task)
                under_way[worker] = (time, slow)
                return
        del shard.running[worker]
        if not shard.is_done:
            shard.is_done = True
            took.append(time - began)
        idle.append(worker)

    for worker in range(workers):
        hire(0.0, worker)
    time = 0.0
    while len(committed) < len(seconds):
        while idle and waiting:
            start(time, idle.pop(), waiting.pop())
        if speculation and idle and not waiting and len(took) >= SPECULATION_QUANTILE * len(parts):
            limit = SPECULATION_FACTOR * statistics.median(took)
            slow = [part for part in parts if not part.is_done and len(part.running) == 1 and time - min(b for b, *_ in part.running.values()) > limit]
            while idle and slow:
                start(time, idle.pop(), slow.pop())
        if not events:
            raise AssertionError("nothing is left to happen")
        time, _, what, whom = heapq.heappop(events)
        worker, life = whom[0], whom[1]
        if what == "back":
            hire(time, worker)
            continue
        if what == "look":
            continue
        if lives[worker] != life:
            continue
        if what == "lost":
            lives[worker] += 1
            lost += 1
            if worker in idle:
                idle.remove(worker)
            if worker in under_way:
                began, slow = under_way.pop(worker)
                worked += (time - began) / slow
            for part in parts:
                if part.running.pop(worker, None) is not None and not part.is_done and not part.running:
                    waiting.append(part)
            push(time + REPLACED_AFTER_S, "back", worker, lives[worker])
        elif what == "ready":
            overhead += whom[3]
            step(time, worker, whom[2])
        elif what == "task":
            task = whom[3]
            under_way.pop(worker)
            worked += seconds[task]
            if task not in committed:
                committed[task] = worker
                done_at = time
            step(time, worker, whom[2])
            if speculation and idle and not waiting:
                push(time + 5.0, "look", -1, -1)
    assert sorted(committed) == list(range(len(seconds)))
    # What others are still at when the last task is committed has been in vain, too.
    worked += sum((done_at - began) / slow for began, slow in under_way.values())
    again = worked - needed
    assert again > -1e-6
    return Outcome(done_at / 3600, needed / (done_at * workers), max(again, 0.0) / needed, overhead / needed, attempts, lost)


def told(outcomes):
    """Median, and least and most."""

    def of(name, scale, form):
        values = [scale * getattr(outcome, name) for outcome in outcomes]
        return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"

    return [of("hours", 60, ".0f"), of("efficiency", 100, ".0f"), of("wasted_share", 100, ".1f"), of("overhead_share", 100, ".0f"), of("attempts", 1, ",.0f"), of("lost", 1, ".0f")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=11)
    parser.add_argument("--workers", type=int, default=100)
    args = parser.parse_args()
    seconds, whole = logs(0)
    ideal = sum(seconds) / args.workers / 60
    print(f"{OBJECTS:,} objects, {whole / 1e12:.2f} TB of gzip, {len(seconds):,} tasks, {args.workers} workers of one core, {args.seeds} seeds")
    print(f"{sum(seconds) / 3600:.1f} core hours of conversion: {ideal:.0f} minutes if all of them did nothing else and none failed\n")
    print("| plans | shards | slow ones start twice | minutes | of the ideal, % | work lost or done twice, % | reading plan and log, % of the work | attempts | workers lost |")
    print("|---|---|---|---|---|---|---|---|---|")
    for plans, counts in [(1, (100, 400, 1_000, 10_000)), (12, (1_200, 2_400, 10_000))]:
        for shards in counts:
            for speculation in (False, True):
                outcomes = [simulate(seed, shards, args.workers, speculation, plans) for seed in range(args.seeds)]
                print("|", " | ".join([f"{plans}", f"{shards:,}", "yes" if speculation else "no", *told(outcomes)]), "|", flush=True)


if __name__ == "__main__":
    main()
