"""Commands of one table at once, stopped and continued at random, so that each meets the others at every step: none fails, and nothing is lost."""

import contextlib
import random
import shutil
import signal
import subprocess
import threading
import time

from conftest import FLOWQUET, convert, flowlogs, multiset, rows, run

OBJECTS, RECORDS = 4, 300


@contextlib.contextmanager
def stopped_at_random(processes, chance):
    """Stops one process after another for some milliseconds, as a busy machine does."""
    done = threading.Event()

    def stop():
        while not done.is_set():
            process = chance.choice(processes)
            if process.poll() is None:
                process.send_signal(signal.SIGSTOP)
                time.sleep(chance.choice([0.002, 0.01, 0.05, 0.15]))
                process.send_signal(signal.SIGCONT)
            time.sleep(chance.random() * 0.004)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_compactions_and_conversions_of_one_table(tmp_path):
    logs = [flowlogs(tmp_path / f"logs{i}", "--objects", OBJECTS, "--records", RECORDS, "--seed", i, "--every-s", 30_000) for i in range(4)]
    chance = random.Random(7)
    for _ in range(3):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        convert(logs[0], out)
        for source in logs[1:]:
            commands = [["compact", out, "--quiet"], ["convert", source, "--out", out, "--quiet"]] * 2
            running = [subprocess.Popen([FLOWQUET, *map(str, c)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands]
            with stopped_at_random(running, chance):
                ended = [(process.communicate()[1], process.returncode) for process in running]
            assert all(code == 0 for _, code in ended), ended
        run("compact", out, "--quiet")
        run("verify", out, "--quiet", "--read-data")
        assert sum(multiset(rows(out)).values()) == len(logs) * OBJECTS * RECORDS
