"""Prove that model.py computes what transformers computes from the exported file, in float32.
Usage: check_model.py MODEL_DIR nano|nano-moe"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM

import model as models


def main():
    path, name = sys.argv[1:3]
    hf = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    net = models.Qwen3(models.config_of(name)).eval()
    models.load(net, path)
    torch.manual_seed(3)
    lengths = (37, 80)
    ids = torch.randint(0, net.c["vocab_size"], (sum(lengths),))
    cu = torch.tensor([0, lengths[0], sum(lengths)], dtype=torch.int32)
    positions = torch.cat([torch.arange(n) for n in lengths])
    with torch.no_grad():
        ours = net(ids, positions, cu, max(lengths), models.masked, torch.float32)[0]
        theirs = torch.cat([hf(x[None]).logits[0] for x in ids.split(lengths)])
    print(json.dumps({"parameters": sum(p.numel() for p in hf.parameters()),
                      "relative difference": ((ours - theirs).norm() / theirs.norm()).item()}))
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


if __name__ == "__main__":
    main()
