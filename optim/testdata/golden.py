"""Writes golden.json: 20 steps of PyTorch's optimizers from fixed weights and
gradients, and the learning rates of its schedules. PyTorch 2.15.0, seed 0.

    $(scripts/venv) optim/testdata/golden.py
"""
import json
import os
import warnings

import torch

warnings.filterwarnings("ignore")
torch.manual_seed(0)
O, L = torch.optim, torch.optim.lr_scheduler
STEPS = 20
weights = [torch.randn(3, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
grads = [[torch.randn(w.shape, dtype=torch.float64) for w in weights] for _ in range(STEPS)]

VARIANTS = {
    "sgd": lambda p: O.SGD(p, lr=0.1),
    "sgd momentum": lambda p: O.SGD(p, lr=0.1, momentum=0.9),
    "sgd momentum dampening": lambda p: O.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    "sgd nesterov decay": lambda p: O.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
    "sgd maximize": lambda p: O.SGD(p, lr=0.1, momentum=0.5, maximize=True),
    "adam": lambda p: O.Adam(p, lr=0.01),
    "adam betas eps decay": lambda p: O.Adam(p, lr=0.01, betas=(0.5, 0.9), eps=1e-4, weight_decay=0.1),
    "adam amsgrad": lambda p: O.Adam(p, lr=0.01, amsgrad=True),
    "adam maximize": lambda p: O.Adam(p, lr=0.01, maximize=True),
    "adamw": lambda p: O.AdamW(p, lr=0.01),
    "adamw no decay": lambda p: O.AdamW(p, lr=0.01, weight_decay=0.0),
    "adamw amsgrad maximize": lambda p: O.AdamW(p, lr=0.01, amsgrad=True, maximize=True, weight_decay=0.2),
    "groups": lambda p: O.SGD([{"params": p[:1]}, {"params": p[1:], "lr": 0.02, "weight_decay": 0.3}], lr=0.1),
    # The second parameter has no gradient in the odd steps.
    "adam sparse": lambda p: O.Adam(p, lr=0.01),
}
SCHEDULES = {
    "step": lambda o: L.StepLR(o, 3, 0.5),
    "multistep": lambda o: L.MultiStepLR(o, [2, 5, 5, 9], 0.1),
    "exponential": lambda o: L.ExponentialLR(o, 0.9),
    "cosine": lambda o: L.CosineAnnealingLR(o, 10, 0.01),
    "warmup cosine": lambda o: L.SequentialLR(o, [L.LinearLR(o, 0.25, 1.0, 4), L.CosineAnnealingLR(o, 10)], [4]),
}


def clip(kind, limit):
    ps = [torch.zeros_like(w) for w in weights]
    for p, g in zip(ps, grads[0]):
        p.grad = g.clone()
    norm = None
    if kind == "norm":
        norm = torch.nn.utils.clip_grad_norm_(ps, limit).item()
    else:
        torch.nn.utils.clip_grad_value_(ps, limit)
    return {"norm": norm, "grads": [p.grad.flatten().tolist() for p in ps]}


out = {"torch": torch.__version__, "seed": 0, "shapes": [list(w.shape) for w in weights],
       "weights": [w.flatten().tolist() for w in weights],
       "grads": [[g.flatten().tolist() for g in gs] for gs in grads], "variants": {}, "schedules": {}}
for name, make in VARIANTS.items():
    ps = [w.clone().requires_grad_() for w in weights]
    opt, seen = make(ps), []
    for i in range(STEPS):
        for j, (p, g) in enumerate(zip(ps, grads[i])):
            p.grad = None if name.endswith("sparse") and j == 1 and i % 2 else g.clone()
        opt.step()
        if i in (0, 1, STEPS - 1):
            seen.append([p.detach().flatten().tolist() for p in ps])
    out["variants"][name] = seen
for name, make in SCHEDULES.items():
    opt = O.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    sched, rates = make(opt), []
    for _ in range(13):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        sched.step()
    out["schedules"][name] = rates
out["clip"] = {"norm 1": clip("norm", 1.0), "norm 100": clip("norm", 100.0), "value 0.5": clip("value", 0.5)}
with open(os.path.join(os.path.dirname(__file__), "golden.json"), "w") as f:
    json.dump(out, f, indent=0, sort_keys=True)
