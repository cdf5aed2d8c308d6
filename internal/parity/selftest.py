"""Shows that opinfo.py passes what is right and catches what is wrong.

Some operators are walked against a child that is PyTorch itself: what it computes from the frames must be what PyTorch says,
so the protocol carries every sample. Then once more for each fault below, which the child makes once, and exactly the
failures that the fault must cause are required.
"""

import contextlib
import io
import os
import re
import sys
import warnings

import torch
from torch.testing._internal.common_methods_invocations import op_db

import opinfo
import wire
from report import CHECKS

# Together: scalars, lists of tensors, keywords, slices, index tensors, integer and several outputs, views, modes, and an
# operator whose inputs are integers only.
NAMES = ("add sub rsub div pow where cat stack split chunk max cummax sort topk sum mean var matmul addmm softmax gather __getitem__ "
         "expand transpose diagonal linspace arange eye nn.functional.conv2d nn.functional.batch_norm nn.functional.cross_entropy "
         "nn.functional.pad nn.functional.embedding bitwise_and to masked_fill").split()

NOT_CLOSE = "(Tensor-likes|Scalars) are not close"
OTHER = "values for attribute '{}' do not match"

# What the child does wrong, the checks that must fail for it, each once, and words of the one message.
FAULTS = {
    "value": (["values"], NOT_CLOSE),
    "dtype": (["values"], OTHER.format("dtype")),
    "shape": (["values"], OTHER.format("shape")),
    "count": (["values"], "2 tensors, PyTorch has 1"),
    "grad": (["grads"], NOT_CLOSE),
    "nograd": (["grads", "second"], "panic in grads"),
    "second": (["second"], NOT_CLOSE),
    "accept": (["errors"], "accepted, and PyTorch refuses it"),
    "panic": (["errors"], "panic"),
    "inexpressible": (["values", "grads", "second"], "inexpressible in outputs: no words"),
    "die": (["values", "grads", "second"], "the program ended with 7"),
}


class Child:
    def __init__(self, names, fault):
        self.fault, self.names = fault, names
        # A variant's op is chosen by the arguments, as in any child: the first entry of a name serves them all, except where
        # op_db hides a keyword inside op.
        self.ops = {}
        for op in op_db:
            self.ops.setdefault(op.name, op.op)
        self.calls = 0

    def value(self, v, tensors):
        if isinstance(v, list):
            return [self.value(x, tensors) for x in v]
        if not isinstance(v, dict):
            return v
        (kind, x), = v.items()
        match kind:
            case "tensor":
                return tensors[x]
            case "float":
                return float(x)
            case "dtype":
                return getattr(torch, x)
            case "slice":
                return slice(*(self.value(y, tensors) for y in x))
            case "ellipsis":
                return ...
            case "python" if x.startswith("torch.") or x.startswith("device("):
                return eval(x, {"torch": torch, "device": torch.device})
        raise NotImplementedError(f"a value {v}")

    def spoil(self, stage, results):
        """Makes the fault, in the first reply where it can be seen."""
        if self.fault is None:
            return results
        numbers = [r for r in results if r.is_floating_point() and r.numel() and r.isfinite().all()]
        if (stage, self.fault) in {("outputs", "value"), ("grads", "grad"), ("second", "second")} and numbers:
            numbers[0].flatten()[-1:].mul_(1.001).add_(1e-3)  # results are clones: row-major
        elif stage == "outputs" and self.fault == "dtype":
            results = [results[0].to(torch.float16), *results[1:]]
        elif stage == "outputs" and self.fault == "shape":
            results = [results[0][None], *results[1:]]
        elif stage == "outputs" and self.fault == "count":
            results = [*results, results[0]]
        else:
            return results
        self.fault = None
        return results

    def call(self, header, body):
        tensors = [wire.tensor(t, body) for t in header["tensors"]]
        wrt = [tensors[i].requires_grad_() for i in header["wrt"]]
        reply, out = {}, wire.Body()
        stage = "outputs"
        try:
            try:
                args = [self.value(a, tensors) for a in header["args"]]
                if header["op"] == "__getitem__":
                    args = [tuple(a) if isinstance(a, list) and any(not isinstance(x, int) for x in a) else a for a in args]
                result = self.ops[header["op"]](
                    self.value(header["input"], tensors), *args,
                    **{k: self.value(v, tensors) for k, v in header["kwargs"].items()})
            except NotImplementedError as e:
                return {"error": {"stage": stage, "kind": "inexpressible", "text": str(e)}}, wire.Body()
            results = list(flat(result))
            reply["outputs"] = self.encode(out, stage, results)
            if wrt:
                stage = "grads"
                pairs = [(r, tensors[c].requires_grad_()) for r, c in zip(results, header["cotangents"], strict=True) if c is not None]
                outs, cotangents = map(list, zip(*pairs))
                if self.fault == "nograd":
                    self.fault = None
                    raise RuntimeError("no gradient here")
                grads = torch.autograd.grad(outs, wrt, cotangents, create_graph=True, allow_unused=True)
                reply["grads"] = self.encode(out, stage, grads)
                if header["second"]:
                    stage = "second"
                    s = sum((g * tensors[v]).sum() for g, v in zip(grads, header["second"]) if g is not None and g.requires_grad)
                    over = wrt + cotangents
                    second = torch.autograd.grad(s, over, allow_unused=True) if isinstance(s, torch.Tensor) else [None] * len(over)
                    reply["second"] = self.encode(out, stage, second)
        except Exception as e:
            kind = "panic" if stage != "outputs" else "error"
            if self.fault == "panic" and kind == "error":
                self.fault, kind = None, "panic"
            if self.fault == "accept" and kind == "error":
                self.fault = None
                return {"outputs": []}, wire.Body()
            reply["error"] = {"stage": stage, "kind": kind, "text": repr(e)}
        return reply, out

    def encode(self, out, stage, results):
        present = self.spoil(stage, [r.detach().clone(memory_format=torch.contiguous_format) for r in results if r is not None])
        described = [out.describe(r) for r in present]
        for d in described:
            del d["stride"]
        if None not in results:
            return described
        rest = iter(described)
        return [None if r is None else next(rest) for r in results]

    def serve(self, stdin, stdout):
        warnings.simplefilter("ignore")
        while True:
            try:
                header, body = wire.read_frame(stdin)
            except EOFError:
                return
            if header["do"] == "list":
                reply, out = {"version": wire.VERSION, "ops": self.names}, wire.Body()
            else:
                self.calls += 1
                if self.fault == "die" and self.calls == 3:
                    os._exit(7)
                if self.fault == "inexpressible" and self.calls == 1:
                    reply, out = {"error": {"stage": "outputs", "kind": "inexpressible", "text": "no words"}}, wire.Body()
                else:
                    reply, out = self.call(header, body)
            stdout.write(out.frame({"id": header["id"], **reply}))
            stdout.flush()


def flat(tree):
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for x in tree:
            yield from flat(x)
    else:
        yield torch.tensor(tree)


class Fork:
    """A process that serves from a copy of this one's memory: importing op_db anew takes 10 seconds. All are made before the
    first is used, while no thread runs here."""

    made = []

    def __init__(self, names, fault):
        their_in, self.stdin = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb")))
        self.stdout, their_out = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb")))
        self.made.append(self)
        self.pid = os.fork()
        if self.pid == 0:
            for other in self.made:
                other.stdin.close()
                other.stdout.close()
            Child(names, fault).serve(their_in, their_out)
            os._exit(0)
        their_in.close()
        their_out.close()

    def kill(self):
        pass  # the only one that dies does so by itself

    def wait(self, timeout=None):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def right(fault, status, printed):
    lines = [line for line in printed.splitlines() if line.startswith("FAIL")]
    if fault is None:
        return status == 0 and not lines
    checks, words = FAULTS[fault]
    summary = re.findall(r"^parity: (\w+): [1-9]\d* passed, (\d+) failed$", printed, re.M)
    return (status == 1 and len(lines) == 1 and re.search(words, lines[0])
            and dict(summary) == {c: str(int(c in checks)) for c in CHECKS})


def main():
    torch.set_num_threads(1)
    few = ["add", "cat"]
    children = {fault: [Fork(few, fault)] for fault in FAULTS} | {None: [Fork(NAMES, None)]}
    children["die"].append(Fork(few, None))
    passed = failed = 0
    for fault, spare in children.items():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = opinfo.main(["--seed", "1", "--exclusions", os.devnull], spawn=lambda stderr: spare.pop(0))
        ok = right(fault, status, printed.getvalue())
        passed, failed = passed + ok, failed + (not ok)
        print(f"{'ok  ' if ok else 'FAIL'} {fault or 'no fault'}: {printed.getvalue().splitlines()[-1]}", flush=True)
        if not ok:
            print(printed.getvalue())
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
