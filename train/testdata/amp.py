"""Writes amp.json: PyTorch's GradScaler on given gradients, and the losses of a
perceptron in mixed precision on the CPU. PyTorch 2.15.0, seed 0.

    $(scripts/venv) train/testdata/amp.py
"""
import json
import os

import torch

torch.manual_seed(0)
torch.set_num_threads(1)


def listed(t):
    return t.detach().float().flatten().tolist()


def scaler(make, clip=None, steps=40, **options):
    """Steps from fixed gradients, some of which overflow; what the scale does and where the weights end."""
    w = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
    b = torch.nn.Parameter(torch.zeros(4))
    opt = make([w, b])
    s = torch.amp.GradScaler("cpu", **options)
    g = torch.Generator().manual_seed(1)
    record = {"scales": [], "trackers": [], "w": [], "b": []}
    grads = []
    for step in range(steps):
        gw, gb = torch.randn(3, 4, generator=g), torch.randn(4, generator=g)
        if step in (0, 7, 8, 20):
            gw[1, 2] = float("inf") if step != 8 else float("nan")
        grads.append([[repr(v) for v in listed(gw)], [repr(v) for v in listed(gb)]])
        opt.zero_grad()
        s.scale((w * gw).sum() + (b * gb).sum()).backward()
        if clip:
            s.unscale_(opt)
            torch.nn.utils.clip_grad_norm_([w, b], clip)
        s.step(opt)
        s.update()
        record["scales"].append(s.get_scale())
        record["trackers"].append(s._get_growth_tracker())
        record["w"].append(listed(w))
        record["b"].append(listed(b))
    record["grads"] = grads
    return record


def curve(dtype, steps=60):
    """A perceptron on fixed data: autocast, and for float16 a scaler."""
    torch.manual_seed(3)
    x, y = torch.randn(64, 16), torch.randint(0, 5, (64,))
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.GELU(), torch.nn.Linear(32, 5))
    opt = torch.optim.AdamW(model.parameters(), lr=0.01)
    s = torch.amp.GradScaler("cpu", enabled=dtype is torch.float16)
    start = {n: listed(p) for n, p in model.named_parameters()}
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = torch.nn.functional.cross_entropy(model(x).float(), y)
        s.scale(loss).backward()
        s.step(opt)
        s.update()
        losses.append(loss.item())
    return {"losses": losses} if dtype else {"start": start, "x": listed(x), "y": y.tolist(), "losses": losses}


adamw = lambda p: torch.optim.AdamW(p, lr=0.05)
sgd = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)
out = {
    "torch": torch.__version__,
    "scaler": {
        "adamw": scaler(adamw, growth_interval=5),
        "sgd": scaler(sgd, init_scale=1024.0, growth_factor=4.0, backoff_factor=0.25, growth_interval=3),
        "adamw clipped": scaler(adamw, clip=1.0, growth_interval=7),
        "default": scaler(adamw, steps=12),
    },
    "curve": {"float32": curve(None), "bfloat16": curve(torch.bfloat16), "float16": curve(torch.float16)},
}
path = os.path.join(os.path.dirname(__file__), "amp.json")
with open(path, "w") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
