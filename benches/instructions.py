#!/usr/bin/env python3
"""Instructions a record of the hot loops, counted by valgrind: a check against regressions that does not depend on the clock.

usage: python3 benches/instructions.py [--update]

Run from the root after `cargo build --release -p flowquet-benches`. Each loop runs once and three times under callgrind; half the
difference is one run, without what surrounds it. The counts are compared with those in benches/instructions.json, which were
made by one compiler for one instruction set; where either differs, they are shown and not compared. A loop fails that takes more
than a tenth more. `--update` writes the file.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOOPS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "hot_loops"
KEPT = ROOT / "benches" / "instructions.json"
TOLERANCE = 1.10


def instructions(loop, times):
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", LOOPS, loop, str(times)]
        done = subprocess.run(command, capture_output=True, text=True)
    counted = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not counted:
        sys.exit(f"callgrind failed for {loop}:\n{done.stderr}")
    return int(counted[1])


def main():
    records, *loops = subprocess.check_output([LOOPS], text=True).split()
    compiler = subprocess.check_output(["rustc", "--version"], text=True).split()[1]
    has_avx2 = " avx2 " in pathlib.Path("/proc/cpuinfo").read_text()
    found = {"rustc": compiler, "avx2": has_avx2, "per_record": {}}
    for loop in loops:
        found["per_record"][loop] = round((instructions(loop, 3) - instructions(loop, 1)) / 2 / int(records), 1)
    if "--update" in sys.argv:
        KEPT.write_text(json.dumps(found, indent=2) + "\n")
    kept = json.loads(KEPT.read_text())
    is_comparable = (kept["rustc"], kept["avx2"]) == (compiler, has_avx2)
    worse = []
    print(f"{'loop':<12} {'kept':>8} {'now':>8}   instructions a record")
    for loop, now in found["per_record"].items():
        before = kept["per_record"].get(loop, 0)
        is_worse = is_comparable and now > before * TOLERANCE
        worse += [loop] * is_worse
        print(f"{loop:<12} {before:>8} {now:>8}{'   more than a tenth worse' if is_worse else ''}")
    if not is_comparable:
        print(f"not compared: counts were kept for rustc {kept['rustc']}, avx2 {kept['avx2']}; this is {compiler}, avx2 {has_avx2}")
    if worse:
        sys.exit(f"{', '.join(worse)}: mend the loop, or keep the new counts with --update and say why")


main()
