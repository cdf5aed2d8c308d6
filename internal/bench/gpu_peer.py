"""PyTorch's side of what gpu.go measures. Its argument is the sizes as JSON; each line on standard input is a question in
JSON and is answered by a line of JSON, the first line of output describes PyTorch and its device.

    {"do": "time", "name", "variant", "seconds"}     {"seconds": of one iteration} or {"missing": why}
    {"do": "drop", "name"}                           frees what was made for a workload: {}
    {"do": "peak", "name"}                           {"bytes": allocated at most in a training step}
    {"do": "curve", "name", "folder", "steps"}       {"float32": [losses], "float64": [losses]}
"""
import gc
import json
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

SIZES = json.loads(sys.argv[1])
DEV = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
# As Descent computes unless asked otherwise.
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def sync():
    if DEV == "cuda":
        torch.cuda.synchronize()


class CNN(nn.Module):
    def __init__(self, dropout=True):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)
        self.drop = (0.25, 0.5) if dropout else (0, 0)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.dropout(x, self.drop[0], self.training)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(F.dropout(x, self.drop[1], self.training))


class Conv1D(nn.Module):
    """A linear layer with GPT-2's order of the weight."""

    def __init__(self, n, m):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(n, m) * 0.02), nn.Parameter(torch.zeros(m))

    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.c_attn, self.c_proj = heads, Conv1D(width, 3 * width), Conv1D(width, width)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = (t.view(n, length, self.heads, -1).transpose(1, 2) for t in self.c_attn(x).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(n, length, width))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(width, 4 * width), Conv1D(4 * width, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), MLP(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """GPT-2 with Hugging Face's names and PyTorch's fused attention, without dropout."""

    def __init__(self, vocabulary, positions, layers, heads, width):
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(vocabulary, width), "wpe": nn.Embedding(positions, width),
            "h": nn.ModuleList(Block(width, heads) for _ in range(layers)), "ln_f": nn.LayerNorm(width)})
        nn.init.normal_(self.transformer.wte.weight, std=0.02)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, tokens):
        t = self.transformer
        x = t.wte(tokens) + t.wpe.weight[: tokens.shape[1]]
        for block in t.h:
            x = block(x)
        return self.lm_head(t.ln_f(x)).flatten(0, 1)


def resnet(depth, cifar):
    import torchvision

    model = getattr(torchvision.models, f"resnet{depth}")(num_classes=10 if cifar else 1000)
    if cifar:
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return model


MODELS = {
    "mnist": lambda drop: CNN(drop),
    "resnet18": lambda drop: resnet(18, True),
    "resnet50": lambda drop: resnet(50, False),
    "gpt2": lambda drop: GPT2(SIZES["Vocabulary"], SIZES["Positions"], SIZES["Layers"], SIZES["Heads"], SIZES["Width"]),
}
# As lessons in gpu_lessons.go: the classes, mixed precision or not, and the optimizer.
MIXED = {"mnist": False, "resnet18": True, "resnet50": True, "gpt2": True}


def optimizer(name, model):
    if name.startswith("resnet"):
        return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=DEV == "cuda")
    return torch.optim.AdamW(model.parameters(), lr=1e-4, fused=DEV == "cuda")


def step(model, forward, opt, mixed):
    def run(x, y):
        opt.zero_grad(set_to_none=True)
        with torch.autocast(DEV, torch.bfloat16, enabled=mixed):
            loss = F.cross_entropy(forward(x), y)
        loss.backward()
        opt.step()
        return loss
    return run


def training(name, compiled):
    shape, classes = SIZES["Shapes"][name], SIZES["Classes"][name]
    model = MODELS[name](True).to(DEV)
    if name == "gpt2":
        x = torch.randint(0, classes, shape, device=DEV)
        y = torch.randint(0, classes, (x.numel(),), device=DEV)
    else:
        x = torch.randn(shape, device=DEV)
        y = torch.randint(0, classes, (shape[0],), device=DEV)
    if name.startswith("resnet"):
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    run = step(model, torch.compile(model) if compiled else model, optimizer(name, model), MIXED[name])
    return lambda: run(x, y)


def rows():
    return torch.randn(SIZES["Rows"], SIZES["Columns"], device=DEV, dtype=torch.bfloat16)


def gemm():
    n = SIZES["GEMM"]
    a, b = (torch.randn(n, n, device=DEV, dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)
    return lambda: torch.matmul(a, b, out=out)


def copy():
    x = rows()
    out = torch.empty_like(x)
    return lambda: out.copy_(x)


def no_grad(f):
    def run():
        with torch.no_grad():
            return f()
    return run


def add():
    x, y = rows(), rows()
    return lambda: x + y


def gelu():
    x = rows()
    return lambda: F.gelu(x)


def layer_norm():
    x, n = rows(), SIZES["Columns"]
    w, b = torch.randn(n, device=DEV, dtype=torch.bfloat16), torch.randn(n, device=DEV, dtype=torch.bfloat16)
    return lambda: F.layer_norm(x, (n,), w, b)


def softmax():
    x = rows()
    return lambda: F.softmax(x, 1)


def adamw():
    ps = [torch.randn(SIZES["Rows"] // 16, SIZES["Columns"], device=DEV, requires_grad=True) for _ in range(16)]
    for p in ps:
        p.grad = torch.randn_like(p)
    return torch.optim.AdamW(ps, fused=DEV == "cuda").step


WORK = {f.__name__: {"eager": lambda f=f: no_grad(f())} for f in (gemm, copy, add, gelu, layer_norm, softmax, adamw)}
WORK |= {name: {"eager": lambda name=name: training(name, False)} for name in MODELS}
for name in "resnet50", "gpt2":
    WORK[name]["compile"] = lambda name=name: training(name, True)
ready = {}


def timed(q):
    name, variant = q["name"], q["variant"]
    torch.backends.cudnn.benchmark = True
    if variant not in WORK[name]:
        return {"missing": "no such variant"}
    if (name, variant) not in ready:
        try:
            run = WORK[name][variant]()
            for _ in range(3):
                run()
            sync()
        except Exception as e:  # a compiler that is missing says so here
            return {"missing": f"{type(e).__name__}: {e}"[:300]}
        start = time.perf_counter()
        run()
        sync()
        ready[name, variant] = run, time.perf_counter() - start
    run, once = ready[name, variant]
    n = max(1, int(q["seconds"] / once))
    sync()
    start = time.perf_counter()
    for _ in range(n):
        run()
    sync()
    taken = (time.perf_counter() - start) / n
    ready[name, variant] = run, taken
    return {"seconds": taken}


def drop(q):
    for key in [k for k in ready if k[0] == q["name"]]:
        del ready[key]
    gc.collect()
    if DEV == "cuda":
        torch.cuda.empty_cache()
    return {}


def peak(q):
    torch.backends.cudnn.benchmark = False
    if DEV != "cuda":
        return {"missing": "PyTorch has no GPU"}
    run = training(q["name"], False)
    for _ in range(3):
        run()
    sync()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        run()
    sync()
    return {"bytes": torch.cuda.max_memory_allocated()}


def curve(q):
    """The losses of a training in full precision from the weights and the batches in a folder."""
    from safetensors.torch import load_file

    def read(file, kind, shape):
        with open(os.path.join(q["folder"], file), "rb") as f:
            return torch.frombuffer(bytearray(f.read()), dtype=kind).view(shape).to(DEV)

    name, shape = q["name"], q["shape"]
    weights = load_file(os.path.join(q["folder"], "model.safetensors"))
    tokens = name == "gpt2"
    xs = [read(f"x{i}", torch.int64 if tokens else torch.float32, shape) for i in range(q["batches"])]
    ys = [read(f"y{i}", torch.int64, [-1]) for i in range(q["batches"])]
    answer = {}
    for kind in torch.float32, torch.float64:
        model = MODELS[name](False).to(DEV)
        lost = model.load_state_dict(weights, strict=False)
        if lost.unexpected_keys or any(not k.endswith("num_batches_tracked") and k != "lm_head.weight" for k in lost.missing_keys):
            raise RuntimeError(f"{name}: the weights do not fit: {lost}")
        model = model.to(kind)
        run = step(model, model, optimizer(name, model), False)
        answer[str(kind).removeprefix("torch.")] = [
            run(xs[i % len(xs)] if tokens else xs[i % len(xs)].to(kind), ys[i % len(ys)]).item() for i in range(q["steps"])]
    return answer


print(json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name() if DEV == "cuda" else "no GPU, on the CPU",
                  "cuda": torch.version.cuda or "", "cudnn": torch.backends.cudnn.version() or 0}), flush=True)
for line in sys.stdin:
    q = json.loads(line)
    print(json.dumps({"time": timed, "drop": drop, "peak": peak, "curve": curve}[q["do"]](q)), flush=True)
