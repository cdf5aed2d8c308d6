"""Holds a program's operators against PyTorch's, over the samples of PyTorch's own OpInfo database.

    opinfo.py [--seed N] [--ops REGEX] [--dtypes A,B] [--report FILE] -- CHILD...

CHILD is started once and asked, through the protocol of wire.py, which operators it knows. For each entry of op_db under
one of those names, in every dtype asked for, every sample goes through both, once as it is and once with all its tensors
as non-contiguous views:

    values   the outputs: dtype, shape and numbers
    grads    for a random cotangent of each differentiable output, the gradient of each input that has one
    second   where OpInfo says they exist, the gradients of sum_i <gradient_i, v_i> for random v_i, with respect to the
             inputs and to the cotangents
    errors   OpInfo's error_inputs must be refused, with the library's own error

Numbers are compared by torch.testing.assert_close with its own tolerance for the dtype, or with OpInfo's where OpInfo
widens it for this very comparison on a CPU (see tolerance). Where a float32 result misses PyTorch's, PyTorch computes
the case again in float64, from the same inputs, and that decides: the result passes when it is right to the same
tolerance. A gradient, which may be a sum of large numbers that cancel, also passes when it is as near to float64's as
that moves by itself when inputs and cotangents move by up to one unit in float32's last place (four standard deviations).
Those are counted apart.

exclusions.toml says what is left out. The exit status is 1 when a check failed.
"""

import argparse
import collections
import dataclasses
import itertools
import pathlib
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import warnings

import numpy
import torch
from torch.testing._internal.common_device_type import toleranceOverride
from torch.testing._internal.common_methods_invocations import op_db

import wire
from report import Report

HERE = pathlib.Path(__file__).parent
WINDOW = 64      # requests in flight
PATIENCE = 120   # seconds until a child that does not answer is given up
STAGE_OF = {"values": "outputs", "grads": "grads", "second": "second", "errors": "outputs"}


class Child:
    """The program under test. It answers in order; when it dies, the oldest request is to blame and the rest go to a new one."""

    def __init__(self, spawn):
        """spawn(stderr) starts the program: a subprocess.Popen, or what has its stdin, stdout, kill and wait."""
        self.spawn, self.pending, self.ids = spawn, collections.OrderedDict(), itertools.count(1)
        self.deaths = 0
        self.start()

    def start(self):
        self.stderr = tempfile.TemporaryFile()
        self.process = self.spawn(self.stderr)
        self.outbox, self.inbox = queue.Queue(), queue.Queue()
        for target in self.write, self.read:
            threading.Thread(target=target, args=(self.process, self.outbox, self.inbox), daemon=True).start()

    # A thread each: neither side ever waits for the other with a full pipe.
    @staticmethod
    def write(process, outbox, inbox):
        try:
            while (frame := outbox.get()) is not None:
                process.stdin.write(frame)
                process.stdin.flush()
            process.stdin.close()
        except OSError:
            pass  # the child is gone: read tells

    @staticmethod
    def read(process, outbox, inbox):
        try:
            while True:
                inbox.put(wire.read_frame(process.stdout))
        except (EOFError, ValueError, OSError) as e:
            inbox.put(e)

    def send(self, body, header, tag=None):
        n = next(self.ids)
        frame = body.frame({"id": n, **header})
        self.pending[n] = (frame, tag)
        self.outbox.put(frame)

    def receive(self):
        """Returns the oldest request's tag, and the header and body of its reply."""
        n, (_, tag) = next(iter(self.pending.items()))
        try:
            reply = self.inbox.get(timeout=PATIENCE)
            if not isinstance(reply, Exception) and reply[0].get("id") != n:
                reply = ValueError(f"an answer to {reply[0].get('id')} where one to {n} was due")
        except queue.Empty:
            reply = TimeoutError(f"no answer within {PATIENCE} s")
        del self.pending[n]
        if isinstance(reply, Exception):
            return tag, {"error": {"stage": "outputs", "kind": "panic", "text": self.restart(reply)}}, b""
        return tag, *reply

    def restart(self, why):
        self.process.kill()
        status = self.process.wait()
        self.outbox.put(None)
        self.stderr.seek(0)
        text = self.stderr.read().decode(errors="replace").strip()
        said = f"the program ended with {status} ({why!r}): {text[:600]}"
        self.deaths += 1
        if self.deaths > 20:
            sys.exit(f"opinfo: {said}\nopinfo: the program ended {self.deaths} times: giving up")
        self.start()
        for frame, _ in self.pending.values():
            self.outbox.put(frame)
        return said

    def close(self):
        self.outbox.put(None)
        self.process.wait(timeout=PATIENCE)


@dataclasses.dataclass
class Case:
    """One sample of one operator, ready to be run by PyTorch and by the child."""

    op: object
    dtype: torch.dtype
    number: int
    strided: bool
    input: object
    args: tuple
    kwargs: dict
    seed: int
    error: bool = False
    checks: tuple = ()
    wrt: list = dataclasses.field(default_factory=list)

    def name(self):
        kind = "error input" if self.error else "sample"
        return f"{self.op.formatted_name} {wire.NAMES.get(self.dtype, self.dtype)} {kind} {self.number}{' strided' if self.strided else ''}"

    def call(self):
        def show(v):
            if isinstance(v, torch.Tensor):
                return f"{str(v.dtype).removeprefix('torch.')}{list(v.shape)}"
            if isinstance(v, (list, tuple)):
                return "[" + ", ".join(map(show, v)) + "]"
            return repr(v)

        parts = [show(self.input), *map(show, self.args), *(f"{k}={show(v)}" for k, v in self.kwargs.items())]
        return f"{self.op.name}({', '.join(parts)})"[:400]


def fresh(tree, seen, cast=lambda t: t):
    """A copy of tree in which every tensor is a leaf of its own, with the same strides and memory."""
    if isinstance(tree, torch.Tensor):
        if id(tree) not in seen:
            seen[id(tree)] = cast(tree.detach()).requires_grad_(tree.requires_grad)
        return seen[id(tree)]
    if isinstance(tree, (list, tuple)):
        return [fresh(x, seen, cast) for x in tree] if isinstance(tree, list) else tuple(fresh(x, seen, cast) for x in tree)
    if isinstance(tree, dict):
        return {k: fresh(v, seen, cast) for k, v in tree.items()}
    return tree


def tensors(tree):
    """The tensors of a sample, depth first."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for x in tree:
            yield from tensors(x)
    elif isinstance(tree, dict):
        yield from tensors(list(tree.values()))


def differentiable(tree):
    """The inputs that gradients are asked for; one that occurs twice counts once."""
    return list({id(t): t for t in tensors(tree) if t.requires_grad}.values())


def outputs_of(tree):
    """An operator's outputs, depth first; a Python number counts as a tensor without axes."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for x in tree:
            yield from outputs_of(x)
    elif isinstance(tree, (bool, int, float)):
        yield torch.tensor(tree)
    elif tree is not None:
        raise wire.Inexpressible(f"a result of {type(tree)}")


def unwatched(call, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args)


def noise(case, like, move):
    """The same random tensors whenever they are asked for: cotangents first, then the vectors of the second order."""
    g = torch.Generator().manual_seed(case.seed)
    return [move(torch.randn(t.shape, generator=g, dtype=torch.float64).to(case.dtype).to(t.dtype)) for t in like]


@dataclasses.dataclass
class Result:
    outputs: list
    cotangents: list = dataclasses.field(default_factory=list)   # one an output, None where it has no gradient
    grads: list = dataclasses.field(default_factory=list)
    vectors: list = dataclasses.field(default_factory=list)
    second: list = dataclasses.field(default_factory=list)


def compute(case, inputs, args, kwargs, wrt, move=lambda t: t):
    """What PyTorch says."""
    outputs = list(outputs_of(unwatched(lambda: case.op.op(inputs, *args, **kwargs))))
    result = Result([o.detach().clone() for o in outputs])
    live = [o for o in outputs if o.requires_grad]
    if "grads" not in case.checks or not live or not wrt:
        return result
    random_ = noise(case, live + wrt, move)
    cotangents, vectors = random_[: len(live)], random_[len(live) :]
    second = "second" in case.checks
    for c in cotangents:
        c.requires_grad_(second)
    grads = torch.autograd.grad(live, wrt, cotangents, create_graph=second, allow_unused=True)
    result.grads = [torch.zeros_like(x) if g is None else g.detach().clone() for g, x in zip(grads, wrt)]
    taken = iter(cotangents)
    result.cotangents = [next(taken) if o.requires_grad else None for o in outputs]
    alive = [(g * v).sum() for g, v in zip(grads, vectors) if g is not None and g.requires_grad]
    if not second:
        return result
    result.vectors = vectors
    over = wrt + cotangents
    twice = torch.autograd.grad(sum(alive), over, allow_unused=True) if alive else [None] * len(over)
    result.second = [torch.zeros_like(x) if g is None else g.detach().clone() for g, x in zip(twice, over)]
    return result


def tolerance(op, dtype):
    """assert_close's tolerance, or a wider one where OpInfo gives it to the tests that hold the operator, on a CPU, against
    itself: with other strides or into another output."""
    rtol, atol = torch.testing._comparison.default_tolerances(dtype)
    widened = False
    for d in op.decorators:
        if getattr(d, "cls_name", None) != "TestCommon" or getattr(d, "device_type", "") not in (None, "cpu"):
            continue
        if d.test_name not in (None, "test_noncontiguous_samples", "test_out"):
            continue
        for o in d.decorators:
            if isinstance(o, toleranceOverride) and dtype in o.d:
                widened = widened or o.d[dtype].rtol > rtol or o.d[dtype].atol > atol
                rtol, atol = max(rtol, o.d[dtype].rtol), max(atol, o.d[dtype].atol)
    return rtol, atol, widened


def close(actual, expected, op):
    """None, or what is wrong with actual."""
    kwargs = {}
    if expected.is_floating_point():
        kwargs["rtol"], kwargs["atol"], _ = tolerance(op, expected.dtype)
    try:
        torch.testing.assert_close(actual, expected, equal_nan=True, check_stride=False, **kwargs)
    except AssertionError as e:
        return " ".join(str(e).split())


def same_order(case, actual, expected):
    """Whether actual are indices that order the input as expected does: equal elements may stand in any order."""
    place = {"sort": 0, "argsort": 0, "topk": 1}.get(case.op.name)
    if place is None or expected.is_floating_point() or actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if case.kwargs.get("stable") or not actual.dim():
        return False
    dim = case.args[place] if place < len(case.args) else case.kwargs.get("dim", -1)
    if bool((actual < 0).any() or (actual >= case.input.shape[dim]).any() or (actual.sort(dim).values.diff(dim=dim) <= 0).any()):
        return False
    picked = (case.input.detach().take_along_dim(index, dim) for index in (actual, expected))
    return close(*picked, case.op) is None


class InFloat64:
    """The results of a case in float64."""

    def __init__(self, case):
        self.case, self.moved = case, None
        self.truth = self.compute(lambda t: t)

    def compute(self, move):
        """The case with its float32 tensors (and those of its noise) in float64, or None where the operator will not have it."""
        seen = {}

        def widen(t):
            return move(t.double()) if t.dtype == torch.float32 else t

        inputs, args, kwargs = (fresh(x, seen, widen) for x in (self.case.input, self.case.args, self.case.kwargs))
        kwargs = {k: torch.float64 if v is torch.float32 else v for k, v in kwargs.items()}
        try:
            return compute(self.case, inputs, args, kwargs, differentiable((inputs, args, kwargs)), move)
        except RuntimeError:
            return None

    def accepts(self, stage, i, actual):
        """Whether actual, in float32, is output or gradient i as well as float32 can tell."""
        if self.truth is None:
            return False
        truth = getattr(self.truth, stage)[i]
        if close(actual, truth.to(actual.dtype), self.case.op) is None:
            return True
        if stage == "outputs" or not torch.equal(actual.isfinite(), truth.isfinite()):
            return False
        if self.moved is None:
            g = torch.Generator().manual_seed(self.case.seed)
            self.moved = [self.compute(lambda t: t * (1 + torch.empty_like(t).uniform_(-1, 1, generator=g) / 2**23)) for _ in range(16)]
        deviation = torch.stack([getattr(m, stage)[i] - truth for m in self.moved]).square().mean(0).sqrt()
        rtol, atol, _ = tolerance(self.case.op, actual.dtype)
        finite = truth.isfinite()
        return bool(((actual.double() - truth).abs() <= atol + rtol * truth.abs() + 4 * deviation)[finite].all())


class Walk:
    def __init__(self, options, exclusions, spawn):
        self.options, self.exclusions = options, exclusions
        self.child = Child(spawn)
        self.report = Report(seed=options.seed)
        self.used = set()

    def run(self):
        self.child.send(wire.Body(), {"do": "list"})
        _, header, _ = self.child.receive()
        if header.get("version") != wire.VERSION:
            sys.exit(f"opinfo: the program does not speak version {wire.VERSION} of the protocol: {header}")
        names = set(header["ops"])
        known = {op.name for op in op_db}
        self.report.names(names, known)
        for stray in sorted(names - known):
            self.report.fail(stray, "values", f"{stray}: no such name in op_db")
        for op in sorted(op_db, key=lambda op: op.formatted_name):
            if op.name in names and re.search(self.options.ops, op.name):
                started = time.monotonic()
                self.walk(op)
                self.report.seconds[op.formatted_name] = time.monotonic() - started
        while self.child.pending:
            self.judge()
        self.child.close()

    def walk(self, op):
        self.report.entry(op)
        for case in self.cases(op):
            case.checks = self.wanted(case)
            if not case.checks:
                continue
            try:
                sent = self.submit(case)
            except wire.Inexpressible as e:
                if case.error:
                    self.report.apart(op, str(e))
                else:
                    self.report.fail(op, "values", f"{case.name()}: {case.call()}: {e}: exclusions.toml has no line for this")
                continue
            while sent and len(self.child.pending) >= WINDOW:
                self.judge()

    def cases(self, op):
        supported = op.supported_dtypes("cpu")
        dtypes = [d for d in self.options.dtypes if d in supported] or [d for d in (torch.int64,) if d in supported]
        seeds = itertools.count(self.options.seed * 1_000_003)
        for dtype in dtypes:
            self.reseed()
            graded = op.supports_autograd and dtype in op.supported_backward_dtypes("cpu")
            samples = unwatched(lambda: list(op.sample_inputs("cpu", dtype, requires_grad=graded)))
            for number, sample in enumerate(samples):
                for strided in False, True:
                    s = sample.noncontiguous() if strided else sample
                    yield Case(op, dtype, number, strided, s.input, s.args, s.kwargs, next(seeds))
            self.report.dtype(op, dtype)
        if op.error_inputs_func is not None:
            self.reseed()
            for number, e in enumerate(unwatched(lambda: list(op.error_inputs("cpu")))):
                s = e.sample_input
                yield Case(op, torch.float32, number, False, s.input, s.args, s.kwargs, 0, error=True)

    def reseed(self):
        torch.manual_seed(self.options.seed)
        random.seed(self.options.seed)
        numpy.random.seed(self.options.seed % 2**32)

    def wanted(self, case):
        """The checks of this case that no line of exclusions.toml leaves out."""
        if case.error:
            checks = ["errors"]
        else:
            checks = ["values"]
            if differentiable((case.input, case.args, case.kwargs)):
                checks += ["grads"] + ["second"] * bool(case.op.supports_gradgrad)
        kept = []
        for check in checks:
            reason = self.excluded(case, check)
            if reason is None:
                kept.append(check)
                continue
            for lost in checks[checks.index(check) :]:
                self.report.exclude(case.op, lost, reason)
            break
        return tuple(kept)

    def excluded(self, case, check):
        def arg(i, name, default=None):
            return case.args[i] if i < len(case.args) else case.kwargs.get(name, default)

        scope = {
            "check": check, "dtype": wire.NAMES.get(case.dtype), "variant": case.op.variant_test_name, "strided": case.strided,
            "input": case.input, "args": case.args, "kwargs": case.kwargs, "arg": arg, "torch": torch,
        }
        for table in case.op.name, "*":
            for when, reason in self.exclusions.get(table, {}).items():
                if eval(when, scope):
                    self.used.add((table, when))
                    return reason
        return None

    def submit(self, case):
        seen = {}
        inputs, args, kwargs = (fresh(x, seen) for x in (case.input, case.args, case.kwargs))
        body = wire.Body()
        header = {
            "do": "call", "op": case.op.name, "input": body.value(inputs),
            "args": [body.value(a) for a in args], "kwargs": {k: body.value(v) for k, v in kwargs.items()},
        }
        wrt = differentiable((inputs, args, kwargs))
        try:
            # The child has its copy of the bytes already: an operator that writes into its inputs disturbs nothing.
            result = compute(case, inputs, args, kwargs, wrt)
        except Exception as e:
            if case.error:
                result = None
            elif case.strided:
                return False  # PyTorch itself refuses the sample with these strides (view)
            else:
                self.report.fail(case.op, "values", f"{case.name()}: {case.call()}: PyTorch fails on its own sample: {e!r}")
                return False
        else:
            if case.error:
                self.report.apart(case.op, "PyTorch accepts it when asked directly")
                return False
        header["wrt"], header["cotangents"], header["second"] = [], [], []
        if result and result.cotangents:
            header["wrt"] = [body.add(t) for t in wrt]
            header["cotangents"] = [None if c is None else body.add(c) for c in result.cotangents]
            header["second"] = [body.add(v) for v in result.vectors]
        header["tensors"] = body.tensors
        # The sample itself is kept too: Body knows tensors by identity, and a second opinion starts from it.
        self.child.send(body, header, (case, result))
        return True

    def judge(self):
        (case, result), header, body = self.child.receive()
        error = header.get("error")
        if case.error:
            if error is None:
                self.report.fail(case.op, "errors", f"{case.name()}: {case.call()}: accepted, and PyTorch refuses it")
            elif error["kind"] == "inexpressible":
                self.report.apart(case.op, error["text"])
            elif error["kind"] != "error":
                self.report.fail(case.op, "errors", f"{case.name()}: {case.call()}: {error['kind']}: {error['text']}")
            else:
                self.report.ok(case.op, "errors")
            return
        stopped = False
        for check in case.checks:
            stage = STAGE_OF[check]
            expected = getattr(result, stage)
            if check != "values" and not expected:
                continue  # no output depends on an input in a differentiable way
            if error is not None and wire.STAGES.index(error["stage"]) <= wire.STAGES.index(stage):
                wrong, rounding = f"{error['kind']} in {error['stage']}: {error['text']}", False
                if stopped:  # said already, and the later checks have failed with it
                    self.report.fail(case.op, check, None)
                    continue
                stopped = True
            else:
                wrong, rounding = self.compare(case, stage, header.get(stage), body, expected)
            if wrong:
                self.report.fail(case.op, check, f"{case.name()}: {case.call()}: {check}: {wrong}")
            else:
                self.report.ok(case.op, check, rounding)

    def compare(self, case, stage, described, body, expected):
        """Returns what is wrong, or None and whether float64 had to decide."""
        if described is None or len(described) != len(expected):
            return f"{'no' if described is None else len(described)} tensors, PyTorch has {len(expected)}", False
        try:
            actual = [torch.zeros_like(e) if d is None else wire.tensor(d, body) for d, e in zip(described, expected)]
        except (KeyError, ValueError, RuntimeError) as e:
            return f"a malformed reply: {e!r}", False
        second_opinion, rounding = None, False
        for i, (a, e) in enumerate(zip(actual, expected)):
            wrong = close(a, e, case.op)
            if wrong and stage == "outputs" and same_order(case, a, e):
                wrong = None
            if wrong and case.dtype == torch.float32 and e.dtype == torch.float32 and a.dtype == e.dtype and a.shape == e.shape:
                second_opinion = second_opinion or InFloat64(case)
                if second_opinion.accepts(stage, i, a):
                    wrong, rounding = None, True
            if wrong:
                return f"{stage}[{i}]: {wrong}", False
        return None, rounding


def options(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ops", default="", help="a regular expression that the operator's name must contain")
    parser.add_argument("--dtypes", default="float32,float64", help="an operator with none of them is walked in int64")
    parser.add_argument("--exclusions", type=pathlib.Path, default=HERE / "exclusions.toml")
    parser.add_argument("--report", type=pathlib.Path, help="where the table goes after a full walk with seed 0")
    parser.add_argument("child", nargs="*")
    o = parser.parse_args(argv)
    o.dtypes = [wire.DTYPES[d] for d in o.dtypes.split(",")]
    o.full = o.seed == 0 and not o.ops and o.dtypes == [torch.float32, torch.float64]
    return o


def main(argv, spawn=None):
    torch.set_num_threads(1)
    o = options(argv)
    exclusions = tomllib.loads(o.exclusions.read_text())

    def popen(stderr):
        return subprocess.Popen(o.child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)

    walk = Walk(o, exclusions, spawn or popen)
    walk.run()
    if o.full:
        for table, lines in exclusions.items():
            for when in lines:
                if (table == "*" or table in walk.report.covered) and (table, when) not in walk.used:
                    walk.report.fail("exclusions.toml", "values", f"exclusions.toml: [{table}] {when!r} leaves nothing out")
        if o.report:
            o.report.write_text(walk.report.markdown())
    return walk.report.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
