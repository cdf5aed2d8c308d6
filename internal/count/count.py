# How many operators PyTorch dispatches for a training step, after models.py: those that its profiler sees on the CPU, that
# contain no other, and that are neither views nor allocations. Batches are small, which changes no count.
import json

from torch.profiler import ProfilerActivity, profile

# Operators that only make a handle or memory.
HANDLES = {"aten::" + name for name in (
    "_local_scalar_dense _reshape_alias _unsafe_view alias as_strided chunk contiguous detach detach_ empty empty_like empty_strided expand "
    "expand_as item lift_fresh narrow permute reshape resize_ result_type select set_ slice split squeeze t to transpose unbind unsqueeze "
    "view view_as").split()}


def count(model, x, targets):
    y = torch.zeros(targets, dtype=torch.long)
    opt = torch.optim.AdamW(model.parameters(), fused=True)

    def step():
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    step()
    with profile(activities=[ProfilerActivity.CPU]) as p:
        step()

    def kernels(e):
        return [c for c in e.cpu_children if c.name.startswith("aten::") and c.name not in HANDLES]
    return sum(1 for e in p.events() if e.name.startswith("aten::") and e.name not in HANDLES and not kernels(e))


print(json.dumps({"torch": torch.__version__, "ops": {
    "mlp": count(MLP(), torch.randn(2, 784), 2),
    "cnn": count(CNN(), torch.randn(2, 1, 28, 28), 2),
    "resnet50": count(resnet(50, False), torch.randn(2, 3, 64, 64), 2),
    "gpt2": count(GPT2(100, 64, 12, 12, 96), torch.zeros(2, 16, dtype=torch.long), 32),
}}))
