"""log pi(y|x) of 5 responses to each prompt in padded transformers: each row's own three and the first two of the next row's.

    python3 -P bench/peers/scoring.py --model FOLDER [--precision fp32|bf16] [--prompts 16] [--batch 8] [--by-length]

--by-length puts sequences of like length into one batch, which leaves less padding.
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch  # noqa: E402
from common import read_rows, report, scoring_options, tokenised  # noqa: E402
from padded import response_logps  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

asked = scoring_options()

tokenizer = AutoTokenizer.from_pretrained(asked.model)
model = AutoModelForCausalLM.from_pretrained(
    asked.model, dtype=torch.bfloat16 if asked.precision == "bf16" else torch.float32
).eval()
rows = tokenised(read_rows(64), tokenizer)
pairs = [(x, y) for at, (x, ys) in enumerate(rows[: asked.prompts]) for y in ys + rows[(at + 1) % len(rows)][1][:2]]


@torch.inference_mode()
def score(some):
    order = list(range(len(some)))
    if asked.by_length:
        order.sort(key=lambda at: -len(some[at][0]) - len(some[at][1]))
    logps, tokens = [0.0] * len(some), 0
    for start in range(0, len(order), asked.batch):
        taken = order[start : start + asked.batch]
        values, computed = response_logps(model, [some[at] for at in taken], tokenizer.pad_token_id)
        tokens += computed
        for at, value in zip(taken, values.tolist()):
            logps[at] = value
    return logps, tokens


score([(pairs[0][0], pairs[0][1][:16])])
samples = []
for _ in range(asked.repeats):
    began = time.perf_counter()
    logps, tokens = score(pairs)
    samples.append({"seconds": time.perf_counter() - began, "values": logps, "tokens": tokens})
report(samples=samples)
