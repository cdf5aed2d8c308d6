"""How many operators PyTorch dispatches for a training step: those its profiler
sees on the CPU that contain no other. Batches are small, which changes no count.
"""
import json
import sys

import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.dropout(x, 0.25, self.training)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(F.dropout(x, 0.5, self.training))


def resnet50():
    from torchvision.models import resnet50
    return resnet50()


class GPT2(nn.Module):
    """GPT-2 124M's layers, with few tokens and words."""

    def __init__(self, width=96, heads=12, words=100):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(words, width), nn.Embedding(64, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(12))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, x):
        h = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        for b in self.blocks:
            h = b(h)
        return self.head(self.norm(h)).flatten(0, 1)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = (a.view(b, t, self.heads, -1).transpose(1, 2) for a in self.qkv(self.ln1(x)).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(b, t, w))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x)), approximate="tanh"))


def count(model, x, targets):
    y = torch.zeros(targets, dtype=torch.long)
    opt = torch.optim.AdamW(model.parameters(), foreach=True)

    def step():
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    step()
    with profile(activities=[ProfilerActivity.CPU]) as p:
        step()
    return sum(1 for e in p.events() if e.name.startswith("aten::") and not any(c.name.startswith("aten::") for c in e.cpu_children))


print(json.dumps({"torch": torch.__version__, "ops": {
    "mlp": count(MLP(), torch.randn(2, 784), 2),
    "cnn": count(CNN(), torch.randn(2, 1, 28, 28), 2),
    "resnet50": count(resnet50(), torch.randn(2, 3, 64, 64), 2),
    "gpt2": count(GPT2(), torch.zeros(2, 16, dtype=torch.long), 32),
}}))
