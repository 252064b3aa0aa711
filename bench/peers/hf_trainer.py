"""What the peers that are trainers of Hugging Face's share: settings, the rows in the order given, and a clock of the steps."""

import os
import tempfile
import time

os.environ["WANDB_DISABLED"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch  # noqa: E402
from datasets import disable_caching, disable_progress_bars  # noqa: E402
from transformers import TrainerCallback  # noqa: E402

disable_caching()
disable_progress_bars()
folder = tempfile.TemporaryDirectory()


def settings(asked):
    assert asked.rows % asked.micro_batch_rows == 0, "the rows of a step must be whole micro-batches"
    return dict(
        output_dir=folder.name, per_device_train_batch_size=asked.micro_batch_rows,
        gradient_accumulation_steps=asked.rows // asked.micro_batch_rows, num_train_epochs=1, learning_rate=3e-7,
        lr_scheduler_type="constant", weight_decay=0.0, bf16=asked.precision == "bf16", use_cpu=True, logging_steps=1,
        save_strategy="no", report_to=[], disable_tqdm=True, dataloader_pin_memory=False, beta=0.01, max_length=2048,
    )


class InOrder:
    """A trainer that takes its rows as they stand."""

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


class Clock(TrainerCallback):
    """Seconds, loss and gradient norm of each step, and what was put into `tokens` in it."""

    def __init__(self):
        self.tokens, self.samples = [], []

    def on_step_begin(self, *_, **__):
        self.tokens.clear()
        self.began = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.samples.append({"seconds": time.perf_counter() - self.began, "tokens": sum(self.tokens)})

    def on_log(self, *_, logs=None, **__):
        if self.samples and "grad_norm" in (logs or {}):
            self.samples[-1].update(gradNorm=float(logs["grad_norm"]), loss=float(logs["loss"]))
