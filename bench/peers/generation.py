"""Responses sampled by transformers.generate, prompts padded on the left, in batches of prompts.

    python3 -P bench/peers/generation.py --model FOLDER [--precision fp32|bf16] [--prompts 64] [--responses 4] [--tokens 64]
        [--batch-prompts 16]
"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch  # noqa: E402
from common import prompt_text, read_rows, report  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
parser.add_argument("--prompts", type=int, default=64)
parser.add_argument("--responses", type=int, default=4)
parser.add_argument("--tokens", type=int, default=64)
parser.add_argument("--repeats", type=int, default=1)
parser.add_argument("--batch-prompts", type=int, default=16)
asked = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(asked.model, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(
    asked.model, dtype=torch.bfloat16 if asked.precision == "bf16" else torch.float32
).eval()
# Nothing ends a response before its last token.
model.generation_config.eos_token_id = None
texts = [prompt_text(row, tokenizer) for row in read_rows(asked.prompts)]


def sample(some, tokens):
    made = []
    for start in range(0, len(some), asked.batch_prompts):
        batch = tokenizer(some[start : start + asked.batch_prompts], return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], do_sample=True, temperature=0.8,
            top_p=0.95, top_k=0, max_new_tokens=tokens, num_return_sequences=asked.responses,
            pad_token_id=tokenizer.pad_token_id,
        )
        made.extend(out[:, batch["input_ids"].shape[1] :].tolist())
    return made


sample(texts[:2], min(8, asked.tokens))
samples = []
for repeat in range(asked.repeats):
    torch.manual_seed(repeat)
    began, begun = time.perf_counter(), time.process_time()
    made = sample(texts, asked.tokens)
    samples.append({
        "seconds": time.perf_counter() - began, "cpuSeconds": time.process_time() - begun, "tokens": sum(map(len, made)), "responses": len(made),
        "distinct": len({tuple(ids) for ids in made}),
    })
report(samples=samples)
