"""WRPO steps in plain transformers: padded sequences, policy and reference in memory, full logits.

    python3 -P bench/peers/training.py --model FOLDER [--precision fp32|bf16] [--rows 8] [--steps 2] [--micro-batch-rows 4]

In bf16 the weights are fp32 and the computation runs under autocast, as mixed precision is usually set.
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch  # noqa: E402
from common import read_rows, report, tokenised, training_options  # noqa: E402
from padded import response_logps  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

asked = training_options().parse_args()
beta, alpha, learning_rate = 0.01, 0.05, 3e-7

tokenizer = AutoTokenizer.from_pretrained(asked.model)
load = lambda: AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.float32)
policy, reference = load().train(), load().eval()
optimiser = torch.optim.AdamW(policy.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
data = tokenised(read_rows(asked.rows * asked.steps), tokenizer)
samples = []
for step in range(asked.steps):
    began = time.perf_counter()
    batch = data[step * asked.rows : (step + 1) * asked.rows]
    tokens, loss_sum, sums = 0, 0.0, [0.0, 0.0, 0.0]
    for start in range(0, len(batch), asked.micro_batch_rows):
        rows = batch[start : start + asked.micro_batch_rows]
        pairs = [(x, ys[role]) for role in range(3) for x, ys in rows]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=asked.precision == "bf16"):
            logps, computed = response_logps(policy, pairs, tokenizer.pad_token_id)
            with torch.no_grad():
                reference_logps, _ = response_logps(reference, pairs, tokenizer.pad_token_id)
        tokens += computed
        ws, wt, lose = ((logps - reference_logps) * beta).view(3, len(rows))
        loss = -torch.nn.functional.logsigmoid(alpha * ws + (1 - alpha) * wt - lose).sum() / len(batch)
        loss.backward()
        loss_sum += loss.item()
        for role, value in enumerate(logps.detach().view(3, len(rows)).sum(1).tolist()):
            sums[role] += value / len(batch)
    norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0).item()
    optimiser.step()
    optimiser.zero_grad()
    samples.append({"seconds": time.perf_counter() - began, "tokens": tokens, "loss": loss_sum, "gradNorm": norm, "logps": sums})
report(samples=samples)
