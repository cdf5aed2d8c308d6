"""Answers the op table's rows with PyTorch's numbers: the JSON on stdin that golden_test.go writes, to JSON on stdout.

PyTorch 2.15.0 (scripts/requirements.txt) on the CPU, one thread. The inputs come with the rows (package random, keyed by
the rows' names), the gradients of the results are the formula of `seed`: nothing here is random.

Every row has runs, each in one dtype; a run asks for "dtypes" alone, for "values", or for "grads", which are values,
gradients and the gradients of sum_i <gradient_i, seed_i>.
"""

import json
import sys
import warnings

import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
torch.set_num_threads(1)


def seed(k, like):
    i = torch.arange(like.numel())
    v = (2 * ((i * 7 + k * 5 + 3) % 16) - 15).to(torch.float64) / 16
    return v.to(like.dtype).reshape(like.shape)


def number(v):
    return repr(v)[:-2] if repr(v).endswith(".0") else repr(v)


def encode(t, values=True):
    if t is None:
        return None
    r = {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape)}
    if values:
        t = t.detach().contiguous().flatten()
        r["v"] = " ".join(number(v) for v in (t.double() if t.is_floating_point() else t.long()).tolist())
    return r


def decode(i):
    v = [float(x) for x in i.get("v", "").split()]
    return torch.tensor(v, dtype=torch.float64).reshape(i["shape"]).to(getattr(torch, i["dtype"]))


def differentiable(ts):
    return [t for t in ts if t is not None and t.requires_grad]


def weighted(ts):
    return sum((t * seed(k, t)).sum() for k, t in enumerate(ts) if t is not None and t.requires_grad)


def gradients(y, xs, create):
    found = iter(torch.autograd.grad(y, differentiable(xs), create_graph=create, allow_unused=True))
    return [next(found) if x.requires_grad else None for x in xs]


def answer(row, run):
    xs = [decode(i) for i in run["in"]]
    grads = run["want"] == "grads"
    for x, i in zip(xs, run["in"]):
        x.requires_grad_(grads and i.get("track", False))
    names = {"torch": torch, "F": F, "xs": xs, **dict(zip("xyz", xs))}
    try:
        out = eval(row["torch"], names)
    except (RuntimeError, NotImplementedError, TypeError, IndexError) as e:
        text = str(e).splitlines()[0] if str(e) else ""
        if "not implemented" in text or "not supported" in text and not run["float"]:
            return {"absent": text}
        if run["float"]:
            raise
        return {"error": text}
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    r = {"out": [encode(t, run["want"] != "dtypes") for t in outs]}
    if grads and differentiable(outs):
        first = gradients(weighted(outs), xs, True)
        r["grad"] = [encode(g) for g in first]
        if run["second"] and differentiable(first):
            try:
                r["second"] = [encode(g) for g in gradients(weighted(first), xs, False)]
            except RuntimeError as e:
                r["nosecond"] = str(e).splitlines()[0]
    return r


def main():
    table = json.load(sys.stdin)
    out = {}
    for row in table["rows"]:
        try:
            out[row["name"]] = {"of": row["of"], "runs": {k: answer(row, run) for k, run in row["runs"].items()}}
        except Exception as e:
            sys.exit(f"golden.py: {table['topic']}/{row['name']}: {row['torch']}: {type(e).__name__}: {e}")
    head = f"PyTorch {torch.__version__.split('+')[0]}, by golden.py"
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in sorted(out.items()))
    print(f"{{\"by\": {json.dumps(head)}, \"rows\": {{\n{lines}\n}}}}")


main()
