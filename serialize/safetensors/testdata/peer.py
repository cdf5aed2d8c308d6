"""Says what PyTorch and the safetensors package find in files: the judge of safetensors' tests.

    peer.py describe FILE...   one JSON object: file name -> {metadata, tensors: {name: {dtype, shape, hex, values}}}
    peer.py verdict < LINES    for each line, a file in hex, "ok" or "refused: REASON" as the package sees it

values are text: decimal integers, floats as float.hex() writes them, complex numbers as two; none for dtypes under
16 bits that are neither integers nor bool.
"""

import json
import os
import sys

import safetensors

INTEGERS = {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}
FLOATS = {"F16", "BF16", "F32", "F64", "C64"}


def tensor(t, header):
    import torch

    dtype = header.get_dtype()
    flat = t.reshape(-1)
    if t.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    values = None
    if dtype in INTEGERS:
        values = [str(int(v)) for v in flat.tolist()]
    elif dtype in FLOATS:
        values = [float(v).hex() for v in flat.tolist()]
    raw = flat.contiguous().view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {"dtype": dtype, "shape": header.get_shape(), "hex": raw.hex(), "values": values}


def describe(path):
    with safetensors.safe_open(path, framework="pt") as f:
        names = list(f.keys())
        found = {name: tensor(f.get_tensor(name), f.get_slice(name)) for name in names}
        return {"metadata": f.metadata(), "tensors": found}


def verdict(line):
    try:
        safetensors.deserialize(bytes.fromhex(line))
        return "ok"
    except safetensors.SafetensorError as e:
        return "refused: " + " ".join(str(e).split())


if __name__ == "__main__":
    if sys.argv[1] == "describe":
        json.dump({os.path.basename(p): describe(p) for p in sys.argv[2:]}, sys.stdout)
    else:
        for line in sys.stdin:
            print(verdict(line.strip()))
