"""WRPO steps by the authors' own trainer (SLIT-AI/WRPO, scripts/wrpo_trainer.py), at its own settings but for the size.

    PYTHON -P bench/peers/authors_training.py --model FOLDER --scripts FOLDER [--precision fp32|bf16] [--rows 8] [--steps 2]

FOLDER of --scripts is the `scripts` folder of their repository. PYTHON has torch 2.13, transformers 4.43.3, trl 0.9.6,
accelerate 0.33, datasets 2.20, numpy < 2, pyarrow < 18 and rich. The model's folder is the one for transformers of 2024
that the runner writes.
"""

import os
import sys
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import prompt_text, read_rows, report, training_options  # noqa: E402

parser = training_options()
parser.add_argument("--scripts", required=True)
asked = parser.parse_args()
sys.path.insert(0, asked.scripts)

from hf_trainer import Clock, InOrder, settings, torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from trl import DPOConfig  # noqa: E402
from wrpo_trainer import WRPOTrainer  # noqa: E402


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
options = Settings(**settings(asked), optim="adamw_torch", remove_unused_columns=False, max_prompt_length=1800)
# The configuration's own check knows no "wrpo"; the trainer reads it from here.
options.loss_type = "wrpo"
clock = Clock()


class Trainer(InOrder, WRPOTrainer):
    def get_batch_loss_metrics(self, model, batch, train_eval="train"):
        names = ("chosen0", "chosen1", "rejected0")
        first = batch["chosen0_input_ids"]
        longest = max(batch[f"{name}_input_ids"].shape[1] for name in names)
        clock.tokens.append(len(names) * first.numel() // first.shape[1] * longest)
        return super().get_batch_loss_metrics(model, batch, train_eval)


load = lambda: AutoModelForCausalLM.from_pretrained(asked.model, torch_dtype=torch.float32)
trainer = Trainer(
    model=load(), ref_model=load(), args=options, beta=options.beta, train_dataset=data, tokenizer=tokenizer,
    max_length=options.max_length, max_prompt_length=options.max_prompt_length, loss_type="wrpo", callbacks=[clock],
)
trainer.train()
report(samples=clock.samples)
