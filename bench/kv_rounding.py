#!/usr/bin/env python3
"""What rounding keys and values to 8 bits costs an attention head, on random heads and on heads of which
one channel of the keys, or a pair, is ten or thirty times the others: the mean KL divergence of the
attention weights and the relative error of the result. Needs NumPy.

    bench/kv_rounding.py
"""
import numpy as np

HEAD_DIM, KEYS, HEADS = 128, 1024, 50
rng = np.random.default_rng(1)


def hadamard(n):
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h / np.sqrt(n)


def rounded(x, group):
    """Integers up to 127 and a scale for each `group` numbers of a row."""
    parts = x.reshape(len(x), -1, group)
    scale = np.abs(parts).max(-1, keepdims=True) / 127
    return (np.rint(parts / scale) * scale).reshape(x.shape)


def bfloat16(x):
    bits = x.astype(np.float32).view(np.uint32)
    bits = bits + 0x7FFF + (bits >> 16 & 1)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def attend(q, k, v):
    scores = k @ q / np.sqrt(HEAD_DIM)
    p = np.exp(scores - scores.max())
    p /= p.sum()
    return p, p @ v


H = hadamard(HEAD_DIM)
FORMATS = {
    "bfloat16": bfloat16,
    "8 bits, scale per head": lambda x: rounded(x, 128),
    "8 bits, scale per 32": lambda x: rounded(x, 32),
    "8 bits rotated, scale per head": lambda x: rounded(x @ H, 128) @ H,
    "8 bits rotated, scale per 32": lambda x: rounded(x @ H, 32) @ H,
}
OUTLIERS = {"none": {}, "one, 10 x": {37: 10}, "one, 30 x": {37: 30}, "two, 30 x": {37: 30, 101: -30}}

for name, channels in OUTLIERS.items():
    kl = {f: [] for f in FORMATS}
    error = {f: [] for f in FORMATS}
    for _ in range(HEADS):
        k, v = rng.normal(size=(2, KEYS, HEAD_DIM))
        q = rng.normal(size=HEAD_DIM) * 1.5
        for channel, offset in channels.items():
            k[:, channel] += offset
        p, out = attend(q, k, v)
        for f, convert in FORMATS.items():
            p_rounded, out_rounded = attend(q, convert(k), convert(v))
            kl[f].append((p * np.log(p / p_rounded)).sum())
            error[f].append(((out_rounded - out) ** 2).sum() / (out**2).sum())
    for f in FORMATS:
        print(f"outliers {name:10} {f:32} KL {np.mean(kl[f]):.1e}   error {np.mean(error[f]) ** 0.5:.4f}")
