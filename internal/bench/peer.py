# The PyTorch side of the benchmark, after models.py: each line "name seconds" on standard input
# runs the named workload for about that long and answers with the seconds of one
# iteration, as JSON on a line. The first line of output is a JSON description.
import json
import sys
import time

torch.manual_seed(0)
THREADS = int(sys.argv[1])
torch.set_num_threads(THREADS)


def step(model, x, fused):
    y = torch.randint(0, 10, (x.shape[0],))
    opt = torch.optim.Adam(model.parameters(), lr=1e-6, fused=fused)

    def run():
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    return run


def mlp(fused):
    return step(MLP(), torch.randn(64, 784), fused)


def cnn(last, fused):
    model, x = CNN(), torch.randn(64, 1, 28, 28)
    if last:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    return step(model, x, fused)


def gemm(n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    return lambda: a @ b


def eager(f):
    a, b = torch.randn(1024, requires_grad=True), torch.randn(1024, requires_grad=True)
    return lambda: f(a, b)


WORK = {
    "mlp": [lambda: mlp(False), lambda: mlp(True)],
    "cnn": [lambda: cnn(l, f) for l in (False, True) for f in (False, True)],
    "add": [lambda: eager(torch.add)],
    "mul": [lambda: eager(torch.mul)],
    "relu": [lambda: eager(lambda a, b: torch.relu(a))],
} | {f"gemm{n}": [lambda n=n: gemm(n)] for n in (512, 1024, 2048)}

ready = {}
print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(),
                  "capability": torch.backends.cpu.get_cpu_capability()}), flush=True)
for line in sys.stdin:
    name, variant, seconds = line.split()
    key = name, int(variant)
    if key[1] >= len(WORK[name]):
        print("{}", flush=True)
        continue
    if key not in ready:
        ready[key] = WORK[name][key[1]]()
        for _ in range(3):
            ready[key]()
    run, n, start = ready[key], 0, time.perf_counter()
    per = 1
    while time.perf_counter() - start < float(seconds):
        for _ in range(per):
            run()
        n += per
        per = min(per * 2, 4096)
    print(json.dumps({"seconds": (time.perf_counter() - start) / n}), flush=True)
