"""Kills at moments that the table or the server tells, not the clock: they come while the program works, however fast the machine is."""

import contextlib
import os
import signal
import subprocess
import time

# A program that was not done by then hangs.
DEADLINE_S = 120


def files_of(folder):
    """Names and sizes of all files. What vanishes meanwhile is left out."""
    found, folders = set(), [folder]
    while folders:
        with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        found.add((entry.path, entry.stat().st_size))
    return found


def changes(folder):
    """Counts from now on how often a file of a folder comes, grows or goes. Changes that undo each other between two looks are missed."""
    before, count = files_of(folder), 0

    def seen():
        nonlocal before, count
        now = files_of(folder)
        count += len(now ^ before)
        before = now
        return count

    return seen


def writes(server):
    """Counts from now on the requests to an S3 server of ours that change something."""
    total = lambda: sum(count for kind, count in server.tally().items() if kind not in ["GET", "HEAD", "LIST"])
    before = total()
    return lambda: total() - before


def wait_for(n, seen, process):
    """Waits until `n` are seen or the process is done."""
    deadline = time.monotonic() + DEADLINE_S
    while process.poll() is None and seen() < n:
        assert time.monotonic() < deadline, f"after {DEADLINE_S} s: {seen()} of {n}"
        time.sleep(0.0003)


def start(command, **options):
    return subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def whole(seen, command, **options):
    """How many are seen while a program does its work to the end."""
    process = start(command, **options)
    wait_for(float("inf"), seen, process)
    assert process.wait() == 0
    return seen()


@contextlib.contextmanager
def series():
    """A function that starts a program and kills it when `n` are seen.

    In the end most kills must have come before the program was done: else they prove nothing.
    """
    landed = []

    def kill_at(n, seen, command, **options):
        process = start(command, **options)
        try:
            wait_for(n, seen, process)
        finally:
            process.kill()
        landed.append(process.wait() == -signal.SIGKILL)

    yield kill_at
    assert sum(landed) >= 0.75 * len(landed) > 0, f"{sum(landed)} of {len(landed)} kills came while the program worked"
