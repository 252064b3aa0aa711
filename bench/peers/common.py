"""What the peers share: options, the rows as token ids, and a worker's report (one JSON line, the last of its standard output)."""

import argparse
import json
import resource
from pathlib import Path

ROWS = Path(__file__).resolve().parents[1] / "fixtures" / "quads.jsonl"


def training_options():
    """The options of every peer that computes training steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--micro-batch-rows", type=int, default=4)
    return parser


def scoring_options():
    """The options of every peer that scores five responses to a prompt."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--by-length", action="store_true")
    return parser.parse_args()


def read_rows(count):
    with open(ROWS, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) >= count, f"{ROWS} has {len(rows)} rows, not {count}"
    return rows[:count]


def prompt_text(row, tokenizer):
    return tokenizer.apply_chat_template([row["prompt"]], tokenize=False, add_generation_prompt=True)


def response_texts(row):
    """y_ws, y_wt, y_l"""
    return [message["content"] for message in row["chosen"] + row["rejected"]]


def tokenised(rows, tokenizer):
    """(ids of the prompt, ids of each response with the end-of-turn token) of each row."""
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    return [
        (encode(prompt_text(row, tokenizer)), [encode(y) + [tokenizer.eos_token_id] for y in response_texts(row)])
        for row in rows
    ]


def report(**result):
    result["peakBytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(result), flush=True)
