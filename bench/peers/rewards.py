"""Rewards of 5 responses to each prompt by padded transformers: each row's own three and the first two of the next row's.

    python3 -P bench/peers/rewards.py --model FOLDER [--precision fp32|bf16] [--prompts 16] [--batch 8] [--by-length]

--by-length puts conversations of like length into one batch, which leaves less padding.
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch  # noqa: E402
from common import read_rows, report, response_texts, scoring_options  # noqa: E402
from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: E402

asked = scoring_options()

tokenizer = AutoTokenizer.from_pretrained(asked.model)
dtype = torch.bfloat16 if asked.precision == "bf16" else torch.float32
model = AutoModelForSequenceClassification.from_pretrained(asked.model, dtype=dtype).eval()
rows = read_rows(64)
conversations = [
    tokenizer.apply_chat_template([row["prompt"], {"role": "assistant", "content": y}], tokenize=False)
    for at, row in enumerate(rows[: asked.prompts])
    for y in response_texts(row) + response_texts(rows[(at + 1) % len(rows)])[:2]
]
ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in conversations]


@torch.inference_mode()
def score(some):
    order = list(range(len(some)))
    if asked.by_length:
        order.sort(key=lambda at: -len(some[at]))
    values = [0.0] * len(some)
    for start in range(0, len(order), asked.batch):
        taken = order[start : start + asked.batch]
        longest = max(len(some[at]) for at in taken)
        rows = [some[at] + [model.config.pad_token_id] * (longest - len(some[at])) for at in taken]
        mask = [[1] * len(some[at]) + [0] * (longest - len(some[at])) for at in taken]
        rewards = model(input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask), use_cache=False).logits
        for at, value in zip(taken, rewards[:, 0].float().tolist()):
            values[at] = value
    return values


score([ids[0][:16]])
samples = []
for _ in range(asked.repeats):
    began = time.perf_counter()
    values = score(ids)
    samples.append({"seconds": time.perf_counter() - began, "values": values})
report(samples=samples)
