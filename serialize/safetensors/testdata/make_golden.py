"""Writes golden.json and the .safetensors files that it describes, with the real safetensors package.

    python make_golden.py [FOLDER [SEED]]

The committed ones were written with safetensors 0.8.0, torch 2.15.0 and seed 1 (golden.json says the same).
"""

import json
import math
import os
import sys

import safetensors
import torch
from safetensors.torch import save_file

import peer

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
RAW = ["float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn_x2"]


def raw(dtype, *shape):
    size = torch.empty(0, dtype=dtype).element_size()
    flat = torch.randint(0, 256, (math.prod(shape) * size,), dtype=torch.uint8)
    return flat.view(dtype).reshape(shape)


def dtypes():
    tensors = {"bool": torch.randint(0, 2, (3, 5)).bool(), "complex64": torch.randn(2, 3, dtype=torch.complex64)}
    for name in INTEGERS:
        dtype = getattr(torch, name)
        tensors[name] = raw(dtype, 3, 2)
        tensors[name + ".limits"] = torch.tensor([torch.iinfo(dtype).min, torch.iinfo(dtype).max], dtype=dtype)
    for name in FLOATS:
        dtype, limits = getattr(torch, name), torch.finfo(getattr(torch, name))
        tensors[name] = torch.randn(2, 3, 4, dtype=torch.float64).to(dtype)
        special = [0.0, -0.0, math.inf, -math.inf, math.nan, limits.min, limits.max, limits.tiny, limits.eps]
        tensors[name + ".special"] = torch.tensor(special, dtype=dtype)
        tensors[name + ".subnormal"] = torch.tensor([limits.tiny / 2, limits.smallest_normal / 4], dtype=dtype)
    for name in RAW:
        tensors[name] = raw(getattr(torch, name), 3, 2)
    return tensors


def shapes():
    names = ["layer1.0.conv1.weight", "größe", "层.重み", "🙂", 'quote " backslash \\ slash /', "control \x01\t\n\r\b\f\x1f\x7f",
             "line\u2028separator <&>", ""]
    tensors = {name: torch.randn(i + 1) for i, name in enumerate(names)}
    tensors["scalar"] = torch.tensor(math.pi, dtype=torch.float64)
    tensors["empty"] = torch.empty(0)
    tensors["empty.too"] = torch.empty(2, 0, 3, dtype=torch.int8)
    tensors["empty.and.wide"] = torch.empty(2, 0, 3, dtype=torch.int64)
    tensors["deep"] = torch.randn(1, 2, 1, 2, 1, 2, 1, 2)
    return tensors


FILES = {
    "dtypes.safetensors": (dtypes, None),
    "shapes.safetensors": (shapes, {"größe": 'text with " and \\ and \n and 🙂'}),
    "metadata.safetensors": (dict, {"format": "pt", "epoch": "3", "": "", "author": "nobody"}),
    "nothing.safetensors": (dict, None),
}

if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.manual_seed(seed)
    golden = {"safetensors": safetensors.__version__, "torch": torch.__version__, "seed": seed, "files": {}}
    for name, (make, metadata) in FILES.items():
        path = os.path.join(folder, name)
        save_file(make(), path, metadata=metadata)
        golden["files"][name] = peer.describe(path)
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(golden, f, indent=1, sort_keys=True)
        f.write("\n")
