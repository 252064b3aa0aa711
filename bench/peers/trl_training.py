"""DPO steps by TRL's current trainer, with the reference's log-probs precomputed: two responses a row where WRPO has three.

    PYTHON -P bench/peers/trl_training.py --model FOLDER [--precision fp32|bf16] [--rows 8] [--steps 2]

PYTHON has torch 2.13, trl 1.9 and transformers 5. The pair is (y_wt, y_l). Seconds are of the steps alone.
"""

import argparse
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
parser.add_argument("--rows", type=int, default=8)
parser.add_argument("--steps", type=int, default=2)
parser.add_argument("--micro-batch-rows", type=int, default=4)
asked = parser.parse_args()
assert asked.rows % asked.micro_batch_rows == 0, "the rows of a step must be whole micro-batches"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch  # noqa: E402
from common import prompt_text, read_rows, report, response_texts  # noqa: E402
from datasets import Dataset, disable_caching, disable_progress_bars  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from trl import DPOConfig, DPOTrainer  # noqa: E402

disable_caching()
disable_progress_bars()
tokenizer = AutoTokenizer.from_pretrained(asked.model)
rows = read_rows(asked.rows * asked.steps)


def pair(row):
    _, target, rejected = response_texts(row)
    return {"prompt": prompt_text(row, tokenizer), "chosen": target, "rejected": rejected}


folder = tempfile.TemporaryDirectory()
settings = DPOConfig(
    output_dir=folder.name, per_device_train_batch_size=asked.micro_batch_rows,
    gradient_accumulation_steps=asked.rows // asked.micro_batch_rows, num_train_epochs=1, learning_rate=3e-7,
    lr_scheduler_type="constant", weight_decay=0.0, optim="adamw_torch_fused", bf16=asked.precision == "bf16", use_cpu=True,
    logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
    gradient_checkpointing=False, beta=0.01, max_length=2048, precompute_ref_log_probs=True,
)
tokens, samples = [], []


class InOrder(DPOTrainer):
    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, *given, **named):
        tokens.append(inputs["input_ids"].numel())
        return super().compute_loss(model, inputs, *given, **named)


class Clock(TrainerCallback):
    def on_step_begin(self, *_, **__):
        tokens.clear()
        self.began = time.perf_counter()

    def on_step_end(self, *_, **__):
        samples.append({"seconds": time.perf_counter() - self.began, "tokens": sum(tokens)})

    def on_log(self, *_, logs=None, **__):
        if samples and "grad_norm" in (logs or {}):
            samples[-1].update(gradNorm=float(logs["grad_norm"]), loss=float(logs["loss"]))


trainer = InOrder(
    model=AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.float32), args=settings,
    train_dataset=Dataset.from_list([pair(row) for row in rows]), processing_class=tokenizer, callbacks=[Clock()],
)
trainer.train()
report(samples=samples)
