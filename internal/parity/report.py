"""Counts what opinfo.py finds and writes PARITY.md."""

import collections
import dataclasses
import re

import torch

CHECKS = ("values", "grads", "second", "errors")
SHOWN = 3  # failures printed for one operator and check


@dataclasses.dataclass
class Row:
    name: str
    passed: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    failed: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    rounding: int = 0
    excluded: collections.Counter = dataclasses.field(default_factory=collections.Counter)   # by (check, reason)
    apart: collections.Counter = dataclasses.field(default_factory=collections.Counter)      # error inputs, by reason
    dtypes: list = dataclasses.field(default_factory=list)

    def cell(self, check):
        passed, failed = self.passed[check], self.failed[check]
        excluded = sum(n for (c, _), n in self.excluded.items() if c == check)
        if check == "errors":
            excluded += self.apart.total()
        text = str(passed) if passed or failed or excluded else ""
        if failed:
            text += f", **{failed} failed**"
        if excluded:
            text += f" ({excluded} out)"
        return text


def title(op):
    """add, or div (floor_rounding) for an entry that is a variant."""
    if isinstance(op, str):
        return op
    return op.name + (f" ({op.variant_test_name})" if op.variant_test_name else "")


class Report:
    def __init__(self, seed):
        self.seed, self.rows, self.seconds = seed, {}, {}
        self.covered, self.missing = set(), set()

    def names(self, asked, known):
        self.covered, self.missing = asked & known, known - asked

    def entry(self, op):
        return self.rows.setdefault(title(op), Row(title(op)))

    def dtype(self, op, dtype):
        self.entry(op).dtypes.append(str(dtype).removeprefix("torch."))

    def ok(self, op, check, rounding=False):
        row = self.entry(op)
        row.passed[check] += 1
        row.rounding += rounding

    def fail(self, op, check, text):
        """Counts a failure; text None tells that another's text has said it all."""
        row = self.entry(op)
        row.failed[check] += 1
        if text is None:
            return
        if row.failed[check] <= SHOWN:
            print(f"FAIL {text[:1500]}", flush=True)
        elif row.failed[check] == SHOWN + 1:
            print(f"FAIL {row.name}: {check}: more of it", flush=True)

    def exclude(self, op, check, reason):
        self.entry(op).excluded[check, reason] += 1

    def apart(self, op, reason):
        # One line a reason: what differs between two calls only in its numbers is the same reason.
        self.entry(op).apart[re.sub(r"\d+", "N", reason)] += 1

    def total(self, field):
        return sum(getattr(row, field).total() for row in self.rows.values())

    def by_check(self, field):
        return {c: sum(getattr(row, field)[c] for row in self.rows.values()) for c in CHECKS}

    def close(self):
        """Prints the summary; returns the exit status."""
        passed, failed = self.total("passed"), self.total("failed")
        slow = sorted(self.seconds.items(), key=lambda kv: -kv[1])[:3]
        print(f"parity: seed {self.seed}, {len(self.covered)} of {len(self.covered | self.missing)} names in op_db, "
              f"{len(self.rows)} entries walked; slowest: {', '.join(f'{n} {s:.0f} s' for n, s in slow)}")
        for c, n in self.by_check("passed").items():
            print(f"parity: {c}: {n} passed, {self.by_check('failed')[c]} failed")
        print(f"parity: decided by float64: {sum(r.rounding for r in self.rows.values())}; left out: {self.total('excluded')}; "
              f"error inputs without an equivalent: {self.total('apart')}")
        print(f"{passed} passed, {failed} failed")
        return 1 if failed or not passed else 0

    def markdown(self):
        rows = [r for _, r in sorted(self.rows.items())]
        passed, failed = self.by_check("passed"), self.by_check("failed")
        out = [
            "# Parity with PyTorch",
            "",
            f"Written by `make parity` against torch {torch.__version__.split('+')[0]}, seed {self.seed}; do not edit. PyTorch's own OpInfo samples went through both",
            "libraries; `internal/parity/opinfo.py` says what is compared and how. A number is a count of cases: one sample in one dtype,",
            "plain or with all its inputs as non-contiguous views. \"Out\" are those left out, with their reasons below the table.",
            "",
            f"- **{len(self.covered)} of {len(self.covered | self.missing)}** operator names of OpInfo are walked, {len(rows)} entries with their variants.",
            *(f"- {label}: **{passed[c]} passed, {failed[c]} failed**" for c, label in zip(
                CHECKS, ("Values", "Gradients", "Second gradients", "Error inputs that must be refused"))),
            f"- Decided by float64 (what our float32 numbers are within the tolerance of, or within rounding for gradients that cancel): {sum(r.rounding for r in rows)}.",
            f"- Left out by `internal/parity/exclusions.toml`: {self.total('excluded')} checks. Error inputs that Go cannot express: {self.total('apart')}.",
            "",
            "| operator | dtypes | values | gradients | second gradients | errors |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for r in rows:
            cells = " | ".join(r.cell(c) for c in CHECKS)
            out.append(f"| {r.name} | {' '.join(r.dtypes)} | {cells} |")
        out += ["", "## Left out", ""]
        for r in rows:
            reasons = collections.defaultdict(list)
            for (check, reason), n in r.excluded.items():
                reasons[reason].append(f"{n} {check}")
            out += [f"- {r.name}: {reason} ({', '.join(n)})" for reason, n in reasons.items()]
        out += ["", "## Error inputs apart", ""]
        for r in rows:
            out += [f"- {r.name}: {reason} ({n})" for reason, n in r.apart.items()]
        out += ["", "## Names of OpInfo that are not walked", "", ", ".join(sorted(self.missing)) + ".", ""]
        return "\n".join(out)
