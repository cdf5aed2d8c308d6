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


def count(model, x, classes):
    y = torch.zeros(x.shape[0], dtype=torch.long)
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
    "mlp": count(MLP(), torch.randn(2, 784), 10),
    "cnn": count(CNN(), torch.randn(2, 1, 28, 28), 10),
    "resnet50": count(resnet50(), torch.randn(2, 3, 64, 64), 1000),
}}))
