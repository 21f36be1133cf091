"""What the shards' summaries add up to: sums, checks, one exit code, and the text of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from .worker import TRY_AGAIN

#: A shard that SIGTERM stopped, as often as it was tried.
STOPPED = 130
#: Exit codes of `flowquet convert`, the one that most needs a person first.
BY_GRAVITY = (2, 1, 3, 5, TRY_AGAIN, 4, 0)

SUMMED = (
    "tasks", "tasks_by_another", "tasks_left",
    "objects_listed", "objects_converted", "objects_known", "objects_failed", "objects_left",
    "lines", "records", "rejects", "headers", "blanks", "files", "bytes_in", "bytes_out", "seconds",
)  # fmt: skip


def exit_code_of(codes: Iterable[int]) -> int:
    """The exit code of a whole whose shards ended with `codes`: what was stopped may be tried again, what was killed has failed."""
    of_program = {TRY_AGAIN if code == STOPPED else code if code in BY_GRAVITY else 1 for code in codes}
    return next((code for code in BY_GRAVITY if code in of_program), 0)


@dataclass(frozen=True)
class Report:
    """The sums over all shards, and what does not add up."""

    #: Objects and bytes that the plan holds.
    planned_objects: int
    planned_bytes: int
    planned_tasks: int
    rows: Sequence[Mapping[str, Any]]
    shards: int
    seconds: float

    def sums(self) -> dict[str, Any]:
        """The sum of each count over the shards."""
        return {name: sum(row[name] or 0 for row in self.rows) for name in SUMMED}

    def failed(self) -> list[Mapping[str, Any]]:
        """Shards that did not end with 0, in their order."""
        return [row for row in self.rows if row["exit_code"] != 0]

    def unbalanced(self) -> list[str]:
        """What contradicts: of each shard one summary, all objects of the plan, and sums that hold in each summary."""
        found = []
        numbers = sorted(row["shard"] for row in self.rows)
        if numbers != list(range(self.shards)):
            found.append(f"{self.shards} shards gave {len(numbers)} summaries, of {len(set(numbers))} shards")
        for row in self.rows:
            if row["report"] is None:
                continue
            where = f"shard {row['shard']}/{self.shards}"
            if row["lines"] != row["records"] + row["rejects"] + row["headers"] + row["blanks"]:
                found.append(f"{where}: lines are not records + rejects + headers + blanks")
            parts = ["converted", "known", "failed", "left"]
            if row["objects_listed"] != sum(row[f"objects_{part}"] for part in parts):
                found.append(f"{where}: objects listed are not converted + known + failed + left")
        # A shard that could not begin counts no objects, and has failed anyway.
        if not self.failed() and self.sums()["objects_listed"] != self.planned_objects:
            found.append(f"the plan has {self.planned_objects} objects, its shards {self.sums()['objects_listed']}")
        return found

    def exit_code(self) -> int:
        """That of the gravest shard; 1 where something does not add up."""
        code = exit_code_of(row["exit_code"] for row in self.rows)
        return 1 if code in (0, TRY_AGAIN, 4) and self.unbalanced() else code

    def as_json(self) -> dict[str, Any]:
        """For programs: `--report FILE`."""
        return {
            "exit_code": self.exit_code(),
            "planned": {"objects": self.planned_objects, "bytes": self.planned_bytes, "tasks": self.planned_tasks},
            "shards": self.shards,
            "wall_seconds": self.seconds,
            "sums": self.sums(),
            "unbalanced": self.unbalanced(),
            "summaries": [dict(row) for row in self.rows],
        }

    def text(self) -> str:
        """For people."""
        sums = self.sums()
        lines = [
            f"  objects     {sums['objects_listed']:,} of the plan = {sums['objects_converted']:,} converted + {sums['objects_known']:,} known"
            f" + {sums['objects_failed']:,} unreadable + {sums['objects_left']:,} left",
            f"  lines       {sums['lines']:,} = {sums['records']:,} records + {sums['rejects']:,} rejects + {sums['headers']:,} headers"
            f" + {sums['blanks']:,} blanks",
            f"  written     {sums['files']:,} files, {sums['bytes_out']:,} bytes, by {len({row['host'] for row in self.rows})} hosts",
            f"  read        {sums['bytes_in']:,} bytes in {self.seconds:.1f} s, {sums['seconds']:.1f} s of processes",
        ]
        if sums["objects_known"]:
            lines.append(
                "  note        objects that are known were committed by attempts that gave no summary, or by other runs: their lines are not"
                " counted above; `flowquet status` counts them"
            )
        again = sum(1 for row in self.rows if row["attempt"])
        if again:
            lines.append(f"  again       {again:,} of {self.shards:,} shards took more than one attempt")
        for row in self.failed()[:FAILED_SHOWN_MAX]:
            lines.append(f"  shard {row['shard']}/{self.shards} ended with {row['exit_code']} ({row['outcome']}) on {row['host']}: {row['error'] or 'it said nothing'}")
        hidden = len(self.failed()) - FAILED_SHOWN_MAX
        if hidden > 0:
            lines.append(f"  and {hidden:,} shards more: see the column `error` of the summaries")
        lines += [f"  does not add up: {what}" for what in self.unbalanced()]
        done = self.shards - len(self.failed())
        lines.append(f"done: {done:,} of {self.shards:,} shards, {sums['lines']:,} lines read, {sums['records']:,} records written, {sums['rejects']:,} rejected")
        return "\n".join(lines)


#: More failures than this are mostly one.
FAILED_SHOWN_MAX = 10
