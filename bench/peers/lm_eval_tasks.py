"""A task by lm-eval 0.4.5's `hf` models: seconds, log-likelihoods of each document, metrics and figures.

    python3 -P bench/peers/lm_eval_tasks.py --model FOLDER --task arc_challenge --data FOLDER --shots 25 --limit 100 [--batch 4]

`--data` holds the data set's rows as `bench/tasks.mjs` reads them, a JSONL file for each split. The tasks are lm-eval's own
classes and YAML, with the place of the data exchanged. `ifeval` wants langdetect, immutabledict, nltk, setuptools below 80, and NLTK's
`punkt_tab` in the folder that NLTK_DATA names.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp()
import lm_eval  # noqa: E402
from common import report  # noqa: E402
from lm_eval.api.task import ConfigurableTask  # noqa: E402
from lm_eval.evaluator import evaluate  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.utils import load_yaml_config  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--task", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--shots", type=int, required=True)
parser.add_argument("--limit", type=int, default=100)
parser.add_argument("--batch", type=int, default=1)
# Where lm-eval keeps replies, so that a long run may be done in parts; not for timing.
parser.add_argument("--cache", default="")
asked = parser.parse_args()
logging.disable(logging.WARNING)

own = Path(lm_eval.__file__).parent / "tasks"
sources = {
    "arc_challenge": "arc/arc_challenge.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "winogrande": "winogrande/default.yaml",
    "truthfulqa_mc2": "truthfulqa/truthfulqa_mc2.yaml",
    "gsm8k": "gsm8k/gsm8k.yaml",
    "ifeval": "ifeval/ifeval.yaml",
}


def local(config, files):
    """The task's configuration over local rows."""
    config.pop("include", None)
    config["task_alias"] = config["task"]
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files}, num_fewshot=asked.shots)
    return config


def configurations():
    splits = {path.stem: str(path) for path in sorted(Path(asked.data).glob("*.jsonl"))}
    if asked.task != "mmlu":
        yield local(load_yaml_config(str(own / sources[asked.task]), mode="full"), splits)
        return
    rows = {split: [json.loads(line) for line in open(path, encoding="utf-8")] for split, path in splits.items()}
    for subject in dict.fromkeys(row["subject"] for row in rows["test"]):
        folder = Path(tempfile.mkdtemp())
        files = {}
        for split, some in rows.items():
            files[split] = str(folder / f"{split}.jsonl")
            with open(files[split], "w", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in some if row["subject"] == subject)
        yield local(load_yaml_config(str(own / f"mmlu/default/mmlu_{subject}.yaml"), mode="full"), files)


tasks = {config["task"]: ConfigurableTask(config=config) for config in configurations()}
plain = list(tasks.values())
if asked.task == "mmlu":
    from lm_eval.api.group import ConfigurableGroup

    def group(name, members):
        by_size = [{"metric": "acc", "weight_by_size": True}]
        return {ConfigurableGroup(config={"group": name, "aggregate_metric_list": by_size}): members}

    areas = {}
    for name, task in tasks.items():
        areas.setdefault(task.config.tag.removesuffix("_tasks"), {})[name] = task
    tasks = group("mmlu", {key: value for name, members in areas.items() for key, value in group(name, members).items()})
model = HFLM(pretrained=asked.model, device="cpu", dtype="float32", batch_size=asked.batch, max_batch_size=asked.batch)
# The first calls of a process make what later ones use again.
evaluate(lm=model, task_dict={plain[0].task_name: plain[0]}, limit=1)
for task in plain:
    task.set_fewshot_seed(seed=1234)
if asked.cache:
    from lm_eval.api.model import CachingLM

    model = CachingLM(model, asked.cache)
began, used = time.perf_counter(), time.process_time()
found = evaluate(lm=model, task_dict=tasks, limit=asked.limit, log_samples=True)
seconds, cpu = time.perf_counter() - began, time.process_time() - used

documents = {}
by_name = {task.task_name: task for task in plain}
for name, samples in found["samples"].items():
    # One filter after another over all documents, and no word of which.
    filters = [ensemble.name for ensemble in by_name[name]._filters]
    each = len(samples) // len(filters)
    for at, sample in enumerate(samples):
        group = name.removeprefix("mmlu_") if asked.task == "mmlu" else ""
        wanted = (key for key in sample if key.endswith("acc") or key in ("acc_norm", "exact_match"))
        metrics = {f"{key},{filters[at // each]}": sample[key] for key in wanted}
        one = documents.setdefault(f"{group}/{sample['doc_id']}", {"metrics": {}})
        one["metrics"].update(metrics)
        one["prompt"] = sample["prompt_hash"]
        first = sample["resps"][0][0]
        one["reply"] = first if isinstance(first, str) else [resps[0][0] for resps in sample["resps"]]
figures = {
    f"{name.removeprefix(asked.task).lstrip('_')} {key}".lstrip(): value
    for name in [asked.task, *found.get("groups", {})]
    for key, value in found["results"][name].items()
    if isinstance(value, float)
}
report(samples=[{"seconds": seconds, "cpuSeconds": cpu}], documents=documents, figures=figures)
