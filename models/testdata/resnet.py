"""resnet.py: what torchvision's ResNets are and compute, for resnet_test.go.

    python resnet.py FOLDER

writes to FOLDER names.json, which has by model the shape of each tensor of the state_dict in order, and for each
STEM (cifar, imagenet) STEM.state.safetensors, a random state_dict of ResNet-18 in float64, and STEM.safetensors:
    x, y                      images and labels
    MODE/out, MODE/grad/NAME  outputs and the gradients of the cross entropy, in mode train and eval
    MODE/losses               of five steps of SGD from there
    MODE/state/NAME           running statistics after them
"""

import json
import sys

import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

SEED = 20151


def names(folder):
    out = {}
    for name in "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2":
        with torch.device("meta"):
            state = getattr(torchvision.models, name)().state_dict()
        out[name] = [[key, list(t.shape)] for key, t in state.items()]
    with open(f"{folder}/names.json", "w") as f:
        json.dump(out, f)


def build(stem, x):
    """A ResNet-18 whose norms have weights other than 1 and 0, and running statistics near those of x."""
    model = torchvision.models.resnet18(num_classes=10)
    if stem == "cifar":
        model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        model.maxpool = nn.Identity()
    model = model.double()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        nn.init.uniform_(m.weight, 0.5, 1.5)
        nn.init.uniform_(m.bias, -0.2, 0.2)
        m.momentum = 1.0
    with torch.no_grad():
        model(x)
        for m in norms:
            m.running_mean += m.running_var.sqrt() * torch.empty_like(m.running_mean).uniform_(-0.2, 0.2)
            m.running_var *= torch.empty_like(m.running_var).uniform_(0.8, 1.25)
            m.momentum = 0.1
    return model


def run(stem, size, folder):
    torch.manual_seed(SEED)
    x, y = torch.randn(4, 3, size, size, dtype=torch.float64), torch.randint(0, 10, (4,))
    model = build(stem, x)
    state = {k: t.clone() for k, t in model.state_dict().items()}
    result = {"x": x, "y": y}
    for mode in "train", "eval":
        model.load_state_dict(state)
        model.train(mode == "train")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
        losses = []
        for step in range(5):
            out = model(x)
            loss = F.cross_entropy(out, y)
            optimizer.zero_grad()
            loss.backward()
            if step == 0:
                result[f"{mode}/out"] = out.detach()
                result |= {f"{mode}/grad/{key}": p.grad.clone() for key, p in model.named_parameters()}
            optimizer.step()
            losses.append(loss.item())
        result[f"{mode}/losses"] = torch.tensor(losses, dtype=torch.float64)
        result |= {f"{mode}/state/{key}": t.clone() for key, t in model.named_buffers()}
        print(stem, mode, losses)
    save_file(state, f"{folder}/{stem}.state.safetensors")
    save_file({k: t.contiguous() for k, t in result.items()}, f"{folder}/{stem}.safetensors")


names(sys.argv[1])
run("cifar", 16, sys.argv[1])
run("imagenet", 64, sys.argv[1])
print(f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}, seed {SEED}")
