"""golden.py: what PyTorch's layers and losses compute, for golden_test.go.

Writes golden.safetensors and init.json beside itself. Run it with the Python that scripts/venv prints (PyTorch 2.15):

    $(scripts/venv) nn/testdata/golden.py

Each case is a module in float64 that is called once or more. Its tensors are named
    CASE/param/NAME      parameters and buffers before the first call
    CASE/K/in/I          inputs of call K
    CASE/K/out/I         its outputs
    CASE/K/seed/I        the gradient that the output is given
    CASE/K/grad/I        the gradient of a floating-point input
    CASE/grad/NAME       gradients of the parameters, summed over the calls
    CASE/state/NAME      buffers after the last call

init.json has the mean, standard deviation and extremes of large initialised tensors.
"""

import json
import os

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

SEED = 20151
tensors = {}


def rand(*shape):
    return torch.randn(shape, dtype=torch.float64)


def call(prefix, fn, inputs):
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    outs = fn(*leaves)
    outs = outs if isinstance(outs, tuple) else (outs,)
    outs = [y for y in outs if y is not None]
    seeds = [rand(*y.shape) for y in outs]
    sum((y * s).sum() for y, s in zip(outs, seeds)).backward()
    for kind, list in ("in", inputs), ("out", outs), ("seed", seeds):
        for i, x in enumerate(list):
            tensors[f"{prefix}/{kind}/{i}"] = x.detach().clone()
    for i, x in enumerate(leaves):
        if x.is_floating_point() and x.grad is not None:
            tensors[f"{prefix}/grad/{i}"] = x.grad.clone()


def case(name, module, *calls, train=True, forward=None):
    """One case; each call is a list of inputs, or one input alone."""
    torch.manual_seed(SEED)
    if isinstance(module, nn.Module):
        module = module.double().train(train)
        for p in module.parameters():  # the defaults have zeros and ones that hide mistakes
            with torch.no_grad():
                p.copy_(rand(*p.shape) * 0.5)
        for key, t in module.state_dict().items():
            tensors[f"{name}/param/{key}"] = t.clone()
    fn = (lambda *a: forward(module, *a)) if forward else module
    for k, inputs in enumerate(calls):
        call(f"{name}/{k}", fn, inputs if isinstance(inputs, (list, tuple)) else [inputs])
    if isinstance(module, nn.Module):
        for key, p in module.named_parameters():
            if p.grad is not None:
                tensors[f"{name}/grad/{key}"] = p.grad.clone()
        for key, t in module.named_buffers():
            tensors[f"{name}/state/{key}"] = t.clone()


torch.manual_seed(SEED)

case("linear", nn.Linear(5, 3), rand(2, 4, 5))
case("linear no bias", nn.Linear(5, 3, bias=False), rand(5))
case("embedding", nn.Embedding(7, 3), torch.randint(0, 7, (2, 4)))
case("embedding padding", nn.Embedding(7, 3, padding_idx=2), torch.tensor([[2, 1, 2], [6, 6, 0]]))
case("flatten", nn.Flatten(), rand(2, 3, 4, 1))

case("conv2d", nn.Conv2d(3, 4, 3), rand(2, 3, 6, 7))
case("conv2d strided", nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False), rand(2, 4, 7, 8))
case("conv2d rectangle", nn.Conv2d(2, 3, (1, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 2)), rand(1, 2, 5, 6))
case("conv2d depthwise", nn.Conv2d(3, 6, 3, padding=1, groups=3), rand(2, 3, 5, 5))

case("maxpool2d", nn.MaxPool2d(2), rand(2, 3, 7, 6))
case("maxpool2d overlapping", nn.MaxPool2d(3, stride=2, padding=1), rand(2, 3, 7, 8))
case("maxpool2d rectangle", nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), rand(2, 3, 7, 8))
case("maxpool2d ceil", nn.MaxPool2d(3, stride=2, ceil_mode=True), rand(1, 2, 6, 8))
case("avgpool2d", nn.AvgPool2d(2), rand(2, 3, 7, 6))
case("avgpool2d padded", nn.AvgPool2d(3, stride=2, padding=1), rand(2, 3, 7, 8))
case("avgpool2d uncounted", nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), rand(2, 3, 7, 8))
case("avgpool2d ceil", nn.AvgPool2d(3, stride=2, ceil_mode=True), rand(1, 2, 6, 8))
case("adaptive avg", nn.AdaptiveAvgPool2d((3, 2)), rand(2, 3, 7, 5))
case("adaptive avg one", nn.AdaptiveAvgPool2d(1), rand(2, 3, 4, 5))
case("adaptive max", nn.AdaptiveMaxPool2d((3, 2)), rand(2, 3, 7, 5))

images = [rand(3, 4, 2, 5) * 2 + 1 for _ in range(3)]
vectors = [rand(6, 4) * 2 + 1 for _ in range(3)]
series = [rand(3, 4, 5) * 2 + 1 for _ in range(2)]


def warm(norm):
    """norm with running statistics of some past."""
    with torch.no_grad():
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        norm.num_batches_tracked.fill_(5)
    return norm


case("batchnorm2d", nn.BatchNorm2d(4), *images)
case("batchnorm2d eval", warm(nn.BatchNorm2d(4)), *images, train=False)
case("batchnorm2d momentum", warm(nn.BatchNorm2d(4, eps=1e-3, momentum=0.3)), *images)
case("batchnorm2d cumulative", warm(nn.BatchNorm2d(4, momentum=None)), *images)
case("batchnorm2d still", warm(nn.BatchNorm2d(4, momentum=0.0)), *images)
case("batchnorm2d plain", nn.BatchNorm2d(4, affine=False), *images)
case("batchnorm2d stateless eval", nn.BatchNorm2d(4, track_running_stats=False), *images, train=False)
case("batchnorm1d", nn.BatchNorm1d(4), *vectors)
case("batchnorm1d series", nn.BatchNorm1d(4), *series)
case("batchnorm1d eval", warm(nn.BatchNorm1d(4)), *vectors, train=False)
case("layernorm", nn.LayerNorm(5), rand(2, 3, 5))
case("layernorm axes", nn.LayerNorm((3, 5), eps=1e-3), rand(2, 3, 5))
case("layernorm no bias", nn.LayerNorm(5, bias=False), rand(2, 3, 5))
case("layernorm plain", nn.LayerNorm(5, elementwise_affine=False), rand(2, 3, 5))
case("rmsnorm", nn.RMSNorm(5, eps=1e-3), rand(2, 3, 5))
case("groupnorm", nn.GroupNorm(2, 6), rand(2, 6, 3, 2))

for name, module in {
    "relu": nn.ReLU(), "relu6": nn.ReLU6(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "logsigmoid": nn.LogSigmoid(),
    "silu": nn.SiLU(), "mish": nn.Mish(), "gelu": nn.GELU(), "gelu tanh": nn.GELU(approximate="tanh"),
    "leaky relu": nn.LeakyReLU(), "elu": nn.ELU(), "softplus": nn.Softplus(), "softmax": nn.Softmax(dim=-1),
    "log softmax": nn.LogSoftmax(dim=1),
}.items():
    case(name, module, rand(2, 3, 4) * 3)


def lstm(m, x, h0=None, c0=None):
    y, (h, c) = m(x, None if h0 is None else (h0, c0))
    return y, h, c


case("lstm", nn.LSTM(3, 4), rand(5, 2, 3), forward=lstm)
case("lstm state", nn.LSTM(3, 4), [rand(5, 2, 3), rand(1, 2, 4), rand(1, 2, 4)], forward=lstm)
case("lstm deep", nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True, dropout=0.5),
     [rand(2, 5, 3), rand(4, 2, 4), rand(4, 2, 4)], train=False, forward=lstm)
case("lstm no bias", nn.LSTM(3, 4, bias=False), rand(1, 2, 3), forward=lstm)
case("lstm single", nn.LSTM(3, 4, bidirectional=True), [rand(5, 3), rand(2, 4), rand(2, 4)], forward=lstm)
case("gru", nn.GRU(3, 4), rand(5, 2, 3))
case("gru deep", nn.GRU(3, 4, num_layers=2, bidirectional=True, batch_first=True, dropout=0.5),
     [rand(2, 5, 3), rand(4, 2, 4)], train=False)
case("gru no bias", nn.GRU(3, 4, bias=False), [rand(5, 2, 3), rand(1, 2, 4)])


def attend(weights=False, **kw):
    """kw names the inputs after q, k and v."""
    return lambda m, q, k, v, *rest: m(q, k, v, need_weights=weights, **dict(zip(kw, rest)))


later = torch.ones(4, 5, dtype=torch.bool).triu(2)  # True is left out
padding = torch.tensor([[False, False, False, True, True], [False, False, False, False, True]])
bias = rand(4, 5)
each = rand(2 * 2, 4, 5)
case("attention", nn.MultiheadAttention(6, 2), [rand(4, 2, 6), rand(5, 2, 6), rand(5, 2, 6)], forward=attend())
case("attention weights", nn.MultiheadAttention(6, 2, batch_first=True), [rand(2, 4, 6), rand(2, 5, 6), rand(2, 5, 6)],
     forward=attend(True))
case("attention masks", nn.MultiheadAttention(6, 2, batch_first=True),
     [rand(2, 4, 6), rand(2, 5, 6), rand(2, 5, 6), later, padding], forward=attend(True, attn_mask=0, key_padding_mask=0))
case("attention bias", nn.MultiheadAttention(6, 2, batch_first=True, bias=False),
     [rand(2, 4, 6), rand(2, 5, 6), rand(2, 5, 6), bias], forward=attend(attn_mask=0))
case("attention bias each", nn.MultiheadAttention(6, 2, batch_first=True),
     [rand(2, 4, 6), rand(2, 5, 6), rand(2, 5, 6), each], forward=attend(attn_mask=0))
case("attention other sizes", nn.MultiheadAttention(6, 2, kdim=3, vdim=4), [rand(4, 2, 6), rand(5, 2, 3), rand(5, 2, 4)],
     forward=attend(True))
case("attention extra", nn.MultiheadAttention(6, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True),
     [rand(2, 4, 6), rand(2, 5, 6), rand(2, 5, 6), later, padding], forward=attend(True, attn_mask=0, key_padding_mask=0))
case("attention single", nn.MultiheadAttention(6, 2), [rand(4, 6), rand(5, 6), rand(5, 6)], forward=attend(True))
case("attention causal", nn.MultiheadAttention(6, 2, batch_first=True), [rand(2, 4, 6)],
     forward=lambda m, x: m(x, x, x, need_weights=False, is_causal=True,
                            attn_mask=nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)))

logits, target = rand(5, 4), torch.tensor([0, 3, 1, 1, 2])
some = torch.tensor([0, -100, 1, -100, 2])
soft = rand(5, 4).softmax(1)
weight = torch.tensor([0.5, 2.0, 1.0, 0.25], dtype=torch.float64)
case("cross entropy", F.cross_entropy, [logits, target])
case("cross entropy ignore", F.cross_entropy, [logits, some])
case("cross entropy smooth", lambda x, y, w: F.cross_entropy(x, y, weight=w.detach(), label_smoothing=0.1), [logits, target, weight])
case("cross entropy sum", lambda x, y: F.cross_entropy(x, y, reduction="sum", ignore_index=1), [logits, target])
case("cross entropy none", lambda x, y: F.cross_entropy(x, y, reduction="none"), [rand(2, 4, 3), torch.tensor([[0, 3, 1], [1, 2, 0]])])
case("cross entropy soft", F.cross_entropy, [logits, soft])
case("nll", F.nll_loss, [logits.log_softmax(1), target])
case("nll weight", lambda x, y, w: F.nll_loss(x, y, weight=w.detach()), [logits.log_softmax(1), some, weight])
case("mse", F.mse_loss, [rand(3, 4), rand(3, 4)])
case("l1", F.l1_loss, [rand(3, 4), rand(3, 4)])
case("bce", F.binary_cross_entropy_with_logits, [rand(3, 4) * 4, torch.rand(3, 4, dtype=torch.float64)])
case("bce weight", lambda x, y, p: F.binary_cross_entropy_with_logits(x, y, pos_weight=p.detach()),
     [rand(3, 4) * 4, torch.rand(3, 4, dtype=torch.float64), weight])

file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.safetensors")
save_file({k: t.contiguous() for k, t in tensors.items()}, file, {"torch": torch.__version__, "seed": str(SEED)})
print(f"{len(tensors)} tensors, {os.path.getsize(file)} bytes, PyTorch {torch.__version__}, seed {SEED}")


stats = {}


def spread(name, t):
    t = t.detach().double()
    stats[name] = {"mean": t.mean().item(), "std": t.std().item(), "min": t.min().item(), "max": t.max().item()}


torch.manual_seed(SEED)
linear = nn.Linear(100, 2000)
spread("linear weight", linear.weight)
spread("linear bias", nn.Linear(4, 100000).bias)
conv = nn.Conv2d(40, 400, 5, groups=4)
spread("conv weight", conv.weight)
spread("conv bias", nn.Conv2d(4, 50000, 1).bias)
spread("embedding", nn.Embedding(1000, 200).weight)
lstm = nn.LSTM(100, 200)
spread("lstm weight_ih", lstm.weight_ih_l0)
spread("lstm weight_hh", lstm.weight_hh_l0)
attention = nn.MultiheadAttention(200, 4, add_bias_kv=True)
spread("attention in_proj_weight", attention.in_proj_weight)
spread("attention in_proj_bias", attention.in_proj_bias)
spread("attention out_proj.weight", attention.out_proj.weight)
spread("attention out_proj.bias", attention.out_proj.bias)
spread("attention q_proj_weight", nn.MultiheadAttention(400, 4, kdim=100, vdim=50).q_proj_weight)
spread("attention k_proj_weight", nn.MultiheadAttention(400, 4, kdim=100, vdim=50).k_proj_weight)
w = torch.empty(300, 40, 3, 3)
spread("kaiming_uniform", nn.init.kaiming_uniform_(w))
spread("kaiming_normal fan_out", nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"))
spread("kaiming_normal tanh", nn.init.kaiming_normal_(w, nonlinearity="tanh"))
spread("kaiming_normal selu", nn.init.kaiming_normal_(w, nonlinearity="selu"))
spread("kaiming_normal linear", nn.init.kaiming_normal_(w, nonlinearity="linear"))
spread("kaiming_normal slope", nn.init.kaiming_normal_(w, a=0.5))
spread("xavier_uniform", nn.init.xavier_uniform_(w, gain=2.0))
spread("xavier_normal", nn.init.xavier_normal_(w))
spread("trunc_normal", nn.init.trunc_normal_(w, mean=0.5, std=2.0, a=-1.0, b=3.0))
spread("orthogonal", nn.init.orthogonal_(w, gain=3.0))

file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "init.json")
with open(file, "w") as f:
    json.dump({"torch": torch.__version__, "seed": SEED, "stats": stats}, f, indent=1)
    f.write("\n")
