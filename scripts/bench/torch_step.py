#!/usr/bin/python3
"""The PyTorch side of `make bench`: one rank of a DDP + gloo training job, started by mpirun like dmlbench itself.

Same model, parameter count, batch, precision (fp32) and thread count (1) as scripts/bench/<model>.json, written the usual way.
Batches differ from step to step and exist before the clock starts, so only PyTorch's own work is timed:
forward, backward with the averaged gradients, optimizer. Rank 0 prints one JSON object with the raw seconds of every step.
"""
import argparse
import json
import math
import os
import statistics
import time

# Gloo meets through these; Open MPI tells each rank who it is.
os.environ["RANK"] = os.environ.get("OMPI_COMM_WORLD_RANK", "0")
os.environ["WORLD_SIZE"] = os.environ.get("OMPI_COMM_WORLD_SIZE", "1")
os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
os.environ.setdefault("MASTER_PORT", "29431")

import torch  # noqa: E402  (its libraries read the environment when they load)
import torch.distributed as dist  # noqa: E402
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

BATCHES = 8  # different batches, used in turn


class Block(nn.Module):
    def __init__(self, channels, heads, positions):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.projection = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.register_buffer("mask", torch.full((positions, positions), float("-inf")).triu(1))

    def attention(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, c // self.heads).transpose(1, 2) for part in self.qkv(x).split(c, dim=2))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(c // self.heads)
        probabilities = F.softmax(scores + self.mask, dim=-1)
        return self.projection((probabilities @ v).transpose(1, 2).contiguous().view(b, t, c))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Pre-norm decoder with learned positions; the head is the token embedding."""

    def __init__(self, layers=4, channels=256, heads=8, positions=128, symbols=256):
        super().__init__()
        self.token, self.position = nn.Embedding(symbols, channels), nn.Embedding(positions, channels)
        self.blocks = nn.Sequential(*(Block(channels, heads, positions) for _ in range(layers)))
        self.norm = nn.LayerNorm(channels)
        for table in (self.token, self.position):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, symbols):
        x = self.blocks(self.token(symbols) + self.position.weight)
        return F.linear(self.norm(x), self.token.weight).flatten(0, 1)


def gpt(samples):
    def batch():
        text = torch.randint(0, 256, (samples, 129))
        return text[:, :-1].contiguous(), text[:, 1:].flatten().contiguous()

    model = GPT()
    return model, batch, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)


def mlp(samples):
    def batch():
        return torch.rand(samples, 784), torch.randint(0, 10, (samples,))

    model = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
    return model, batch, torch.optim.SGD(model.parameters(), lr=0.01)


MODELS = {"gpt-4x256": (gpt, 8), "mlp-1024": (mlp, 64)}  # name: (builder, samples per rank)


def time_steps(model, batches, optimizer, steps):
    """Seconds of each step, and the last loss (so that nobody can say that nothing was trained)."""
    seconds = []
    for step in range(steps):
        x, target = batches[step % len(batches)]
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds, loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=10)
    options = parser.parse_args()

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    torch.manual_seed(1 + dist.get_rank())
    build, samples = MODELS[options.model]
    model, batch, optimizer = build(samples)
    batches = [batch() for _ in range(BATCHES)]
    # the mask is constant: sending it round at every step, the default, would only slow PyTorch down
    model = DistributedDataParallel(model, broadcast_buffers=False)
    seconds, loss = time_steps(model, batches, optimizer, options.warmup + options.steps)
    if dist.get_rank() == 0:
        print(json.dumps({
            "model": options.model, "ranks": dist.get_world_size(), "torch": torch.__version__,
            "parameters_count": sum(p.numel() for p in model.parameters()), "samples_per_rank": samples,
            "coretype": os.environ.get("OPENBLAS_CORETYPE", ""), "warmup_steps": options.warmup,
            "step_s": seconds, "median_step_s": statistics.median(seconds[options.warmup:]), "loss_last": loss}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
