"""Prints tensors as PyTorch does, for print_test.go: JSON with each tensor's dtype, shape, values and text.

PyTorch 2.15.0 (scripts/requirements.txt), seed 0. Run from this folder: $(../../scripts/venv) print.py > print.json
"""

import json
import math
import random

import torch

torch.manual_seed(0)
random.seed(0)
cases = []


def case(t):
    dtype = str(t.dtype).removeprefix("torch.")
    flat = t.detach().flatten()
    flat = flat.double() if t.is_floating_point() else flat.long()
    cases.append({"dtype": dtype, "shape": list(t.shape), "grad": t.requires_grad,
                  "values": " ".join(repr(v) for v in flat.tolist()), "text": repr(t)})


FLOATS = torch.float32, torch.float64, torch.float16, torch.bfloat16
INTS = torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8
SHAPES = [(), (1,), (3,), (20,), (2, 3), (1, 1), (4, 17), (2, 1, 3), (2, 2, 2, 2), (0,), (0, 3), (2, 0), (1, 0, 2)]

for shape in SHAPES:
    for dtype in FLOATS:
        case(torch.randn(shape).to(dtype))
        case((torch.randn(shape) * 10 ** random.uniform(-6, 6)).to(dtype))
    for dtype in INTS:
        case(torch.randint(-100 if dtype != torch.uint8 else 0, 100, shape, dtype=dtype))
    case(torch.randint(0, 2, shape).bool())
    case(torch.randn(shape, requires_grad=True))

# The switches between whole numbers, decimals and scientific notation.
for v in ([1.0, 2.0, 300.0], [1.0, 1001.0], [1.0, 1000.0], [1e8], [1.5e8], [1e-4], [0.9999e-4], [0.0], [0.0, -0.0], [-0.0],
          [0.5, 500.0], [0.5, 501.0], [math.inf], [math.nan], [1.0, math.inf], [1.0, -math.inf, math.nan], [1.5, math.inf],
          [1e-5, math.nan, -math.inf], [0.0, math.nan], [1e10, 2e10], [123456.0], [99999.5], [0.00005, 0.00006], [-1.0, 10.0],
          [1e30, 1e-30], [3.00005, 2.0], [1 / 3, 2 / 3], [5e-324], [1.7976931348623157e308], [2.5, 3.5, -100.25]):
    for dtype in FLOATS[:2]:
        case(torch.tensor(v, dtype=dtype))
        case(torch.tensor(v[0], dtype=dtype))
for v in ([2**63 - 1, -2**63], [0], [-5, 10000]):
    case(torch.tensor(v))

# Lines that are full, and summaries.
def few(*shape):  # numbers that print short, to keep the file small
    return torch.round(torch.randn(shape) * 32) / 32


for n in 9, 10, 11, 12, 13, 26, 27:
    case(torch.arange(n))
    case(torch.randn(n))
    case(torch.arange(n, dtype=torch.float64))
for n in 999, 1000, 1001:
    case(torch.arange(n))
    case(few(n))
for shape in ((1001, 1), (7, 200), (200, 6), (11, 11, 11), (3, 400, 2), (20, 2, 30), (1, 1, 2000), (2, 3, 5, 7, 11)):
    case(few(*shape))
    case(torch.randint(-9, 10, shape))
    case(torch.randint(0, 2, shape).bool())
case((few(6, 200) * 1e4).to(torch.float16))

# The suffix goes to a line of its own where the last one is full.
for n in range(5, 12):
    case(torch.randn(n, dtype=torch.float64))
    case(torch.randn(n, requires_grad=True))
    case(torch.randint(1000, 9999, (2, n), dtype=torch.int32))

print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
