"""DPO steps by TRL's current trainer, with the reference's log-probs precomputed: two responses a row where WRPO has three.

    PYTHON -P bench/peers/trl_training.py --model FOLDER [--precision fp32|bf16] [--rows 8] [--steps 2]

PYTHON has torch 2.13, trl 1.9 and transformers 5. The pair is (y_wt, y_l). Seconds are of the steps alone.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import prompt_text, read_rows, report, response_texts, training_options  # noqa: E402
from hf_trainer import Clock, InOrder, settings, torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from trl import DPOConfig, DPOTrainer  # noqa: E402

asked = training_options().parse_args()
tokenizer = AutoTokenizer.from_pretrained(asked.model)
rows = read_rows(asked.rows * asked.steps)
clock = Clock()


def pair(row):
    _, target, rejected = response_texts(row)
    return {"prompt": prompt_text(row, tokenizer), "chosen": target, "rejected": rejected}


class Trainer(InOrder, DPOTrainer):
    def compute_loss(self, model, inputs, *given, **named):
        clock.tokens.append(inputs["input_ids"].numel())
        return super().compute_loss(model, inputs, *given, **named)


trainer = Trainer(
    model=AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.float32),
    args=DPOConfig(**settings(asked), optim="adamw_torch_fused", gradient_checkpointing=False, precompute_ref_log_probs=True),
    train_dataset=Dataset.from_list([pair(row) for row in rows]), processing_class=tokenizer, callbacks=[clock],
)
trainer.train()
report(samples=clock.samples)
