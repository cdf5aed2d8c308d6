"""gpt2.py: what Hugging Face's GPT-2 is and computes, for gpt2_test.go.

    python gpt2.py FOLDER

writes to FOLDER names.json, which has by model the shape of each tensor of the state_dict in order; saved/model.safetensors,
which save_pretrained writes of a small model in float64; hub.safetensors, the same under the names of the hub's files; and
gpt2.safetensors:
    tokens                  a batch
    logits, loss, grad/NAME of the language model in eval mode
    hidden                  what the transformer makes
    continued               a prompt, and 20 tokens after it by greedy search
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

SEED = 2019


def names(folder):
    out = {}
    for name, layers, heads, width in ("gpt2", 12, 12, 768), ("medium", 24, 16, 1024), ("large", 36, 20, 1280), ("xl", 48, 25, 1600):
        with torch.device("meta"):
            state = GPT2LMHeadModel(GPT2Config(n_layer=layers, n_head=heads, n_embd=width)).state_dict()
        out[name] = [[key, list(t.shape)] for key, t in state.items()]
    with open(f"{folder}/names.json", "w") as f:
        json.dump(out, f)


def main(folder):
    print("torch", torch.__version__, "transformers", transformers.__version__, "seed", SEED)
    names(folder)
    torch.manual_seed(SEED)
    config = GPT2Config(vocab_size=61, n_positions=40, n_embd=24, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=None)
    model = GPT2LMHeadModel(config).double().eval()
    for name, p in model.named_parameters():  # larger than the initialisation, so that every part matters
        torch.nn.init.normal_(p, 1.0 if "ln_" in name and "weight" in name else 0.0, 0.3)
    model.save_pretrained(f"{folder}/saved")
    state = {k: t.clone() for k, t in model.state_dict().items()}
    hub = {k.removeprefix("transformer."): t for k, t in state.items() if k != "lm_head.weight"}
    for i in range(config.n_layer):
        hub[f"h.{i}.attn.bias"] = torch.ones(1, 1, 40, 40).tril()
    save_file(hub, f"{folder}/hub.safetensors")

    tokens = torch.randint(0, 61, (2, 17))
    logits = model(tokens).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    result = {"tokens": tokens, "logits": logits.detach(), "loss": loss.detach()}
    result["hidden"] = model.transformer(tokens).last_hidden_state.detach()
    result |= {f"grad/{key}": p.grad.clone() for key, p in model.named_parameters()}
    prompt = tokens[:1, :5]
    result["continued"] = model.generate(prompt, max_new_tokens=20, do_sample=False, attention_mask=torch.ones_like(prompt), pad_token_id=0)
    save_file({k: t.contiguous() for k, t in result.items()}, f"{folder}/gpt2.safetensors")


main(sys.argv[1])
