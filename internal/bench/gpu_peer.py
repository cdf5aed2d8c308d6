# PyTorch's side of what gpu.go measures, after models.py. Its argument is the sizes as JSON; each line on standard input is a question in
# JSON and is answered by a line of JSON, the first line of output describes PyTorch and its device.
#
#     {"do": "time", "name", "variant", "seconds"}     {"seconds": of one iteration} or {"missing": why}
#     {"do": "drop", "name"}                           frees what was made for a workload: {}
#     {"do": "peak", "name"}                           {"bytes": allocated at most in a training step}
#     {"do": "curve", "name", "folder", "steps"}       {"float32": [losses], "float64": [losses]}
import gc
import json
import os
import sys
import time

SIZES = json.loads(sys.argv[1])
DEV = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
# As Descent computes unless asked otherwise.
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def sync():
    if DEV == "cuda":
        torch.cuda.synchronize()


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
