"""mnist.py: what PyTorch makes of the networks of examples/mnist, for pytorch_test.go.

    python mnist.py DATA FOLDER BATCH LOSSES

DATA has the four .gz files of MNIST. FOLDER has for each MODEL (cnn, mlp) MODEL.trained, a checkpoint of the example, and
MODEL.start, weights to start from. It writes FOLDER/results.json, by MODEL:
    logits                    of the trained network for the first 1,000 test images
    sgd, adamw                the losses of LOSSES steps from MODEL.start, on batches of BATCH training images in their order,
                              without dropout
"""

import gzip
import json
import sys

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = self.dropout2(F.relu(self.fc1(x.flatten(1))))
        return self.fc2(x)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 512)
        self.fc2 = nn.Linear(512, 256)
        self.fc3 = nn.Linear(256, 10)

    def forward(self, x):
        x = F.relu(self.fc1(x.flatten(1)))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def digits(data, part, n):
    def content(name):
        with gzip.open(f"{data}/{part}-{name}-ubyte.gz") as f:
            return f.read()

    pixels = np.frombuffer(content("images-idx3"), np.uint8, offset=16, count=n * 784).reshape(n, 1, 28, 28)
    labels = np.frombuffer(content("labels-idx1"), np.uint8, offset=8, count=n)
    x = (torch.from_numpy(pixels.astype(np.float32)) / 255 - 0.1307) / 0.3081
    return x, torch.from_numpy(labels.astype(np.int64))


def opened(build, path):
    model = build().eval()
    state = load_file(path)
    model.load_state_dict({k: v for k, v in state.items() if "/" not in k}, strict=True)
    return model


def losses(model, optimizer, batches):
    out = []
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out


def main(data, folder, batch, steps):
    test, _ = digits(data, "t10k", 1000)
    x, y = digits(data, "train", batch * steps)
    batches = list(zip(x.split(batch), y.split(batch)))
    results = {}
    for name, build in ("cnn", CNN), ("mlp", MLP):
        with torch.no_grad():
            logits = opened(build, f"{folder}/{name}.trained")(test)
        a, b = opened(build, f"{folder}/{name}.start"), opened(build, f"{folder}/{name}.start")
        results[name] = {
            "logits": logits.flatten().tolist(),
            "sgd": losses(a, torch.optim.SGD(a.parameters(), lr=0.01, momentum=0.9), batches),
            "adamw": losses(b, torch.optim.AdamW(b.parameters(), lr=1e-3), batches),
        }
    with open(f"{folder}/results.json", "w") as f:
        json.dump(results, f)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
