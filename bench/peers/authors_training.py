"""WRPO steps by the authors' own trainer (SLIT-AI/WRPO, scripts/wrpo_trainer.py), at its own settings but for the size.

    PYTHON -P bench/peers/authors_training.py --model FOLDER --scripts FOLDER [--precision fp32|bf16] [--rows 8] [--steps 2]

FOLDER of --scripts is the `scripts` folder of their repository. PYTHON has torch 2.13, transformers 4.43.3, trl 0.9.6,
accelerate 0.33, datasets 2.20, numpy < 2, pyarrow < 18 and rich. The model's folder is the one for transformers of 2024
that the runner writes.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--scripts", required=True)
parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
parser.add_argument("--rows", type=int, default=8)
parser.add_argument("--steps", type=int, default=2)
parser.add_argument("--micro-batch-rows", type=int, default=4)
asked = parser.parse_args()
assert asked.rows % asked.micro_batch_rows == 0, "the rows of a step must be whole micro-batches"
sys.path.insert(0, asked.scripts)
os.environ["WANDB_DISABLED"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch  # noqa: E402
from common import prompt_text, read_rows, report  # noqa: E402
from datasets import Dataset, disable_caching, disable_progress_bars  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from trl import DPOConfig  # noqa: E402
from wrpo_trainer import WRPOTrainer  # noqa: E402

disable_caching()
disable_progress_bars()


@dataclass
class Settings(DPOConfig):
    alpha: float = 0.05
    is_dynamic: bool = False


tokenizer = AutoTokenizer.from_pretrained(asked.model)
texts = lambda messages: [message["content"] for message in messages]
rows = read_rows(asked.rows * asked.steps)
data = Dataset.from_list(
    [{"prompt": prompt_text(row, tokenizer), "chosen": texts(row["chosen"]), "rejected": texts(row["rejected"])} for row in rows]
)
folder = tempfile.TemporaryDirectory()
settings = Settings(
    output_dir=folder.name, per_device_train_batch_size=asked.micro_batch_rows,
    gradient_accumulation_steps=asked.rows // asked.micro_batch_rows, num_train_epochs=1, learning_rate=3e-7,
    lr_scheduler_type="constant", weight_decay=0.0, optim="adamw_torch", bf16=asked.precision == "bf16", use_cpu=True,
    logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
    dataloader_pin_memory=False, beta=0.01, max_length=2048, max_prompt_length=1800,
)
# The configuration's own check knows no "wrpo"; the trainer reads it from here.
settings.loss_type = "wrpo"
tokens, samples = [], []


class InOrder(WRPOTrainer):
    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def get_batch_loss_metrics(self, model, batch, train_eval="train"):
        names = ("chosen0", "chosen1", "rejected0")
        tokens.append(len(names) * batch["chosen0_input_ids"].numel() // batch["chosen0_input_ids"].shape[1]
                      * max(batch[f"{name}_input_ids"].shape[1] for name in names))
        return super().get_batch_loss_metrics(model, batch, train_eval)


class Clock(TrainerCallback):
    def on_step_begin(self, *_, **__):
        tokens.clear()
        self.began = time.perf_counter()

    def on_step_end(self, *_, **__):
        samples.append({"seconds": time.perf_counter() - self.began, "tokens": sum(tokens)})

    def on_log(self, *_, logs=None, **__):
        if samples and "grad_norm" in (logs or {}):
            samples[-1].update(gradNorm=float(logs["grad_norm"]), loss=float(logs["loss"]))


load = lambda: AutoModelForCausalLM.from_pretrained(asked.model, torch_dtype=torch.float32)
trainer = InOrder(
    model=load(), ref_model=load(), args=settings, beta=settings.beta, train_dataset=data, tokenizer=tokenizer,
    max_length=settings.max_length, max_prompt_length=settings.max_prompt_length, loss_type="wrpo", callbacks=[Clock()],
)
trainer.train()
report(samples=samples)
