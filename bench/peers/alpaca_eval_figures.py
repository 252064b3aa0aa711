"""What alpaca-eval itself makes of files that Amalgam wrote. Prints JSON: for each model its figures from annotations.json alone, from
its whole `evaluate` with model_outputs.json (the annotations as its cache, so that no judge is asked), and the preferences that its parser
reads from the completions.

    python -P bench/peers/alpaca_eval_figures.py FOLDER BASELINE DF_GAMED

FOLDER has a folder for each model. Needs alpaca-eval 0.6.6.
"""

import json
import logging
import math
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
from alpaca_eval import completion_parsers, evaluate
from alpaca_eval.metrics import glm_winrate
from alpaca_eval.utils import random_seeded_choice

logging.disable(logging.WARNING)
folder, baseline, gamed = map(Path, sys.argv[1:4])
glm_winrate.hf_hub_download = lambda **_: str(gamed)
wanted = ["win_rate", "standard_error", "length_controlled_winrate", "lc_standard_error", "discrete_win_rate", "avg_length"]
wanted += ["n_wins", "n_wins_base", "n_draws", "n_total"]


def reparsed(row):
    """How far the preference is from what alpaca-eval's parser makes of the completion and its own order."""
    completion = row.get("preference_raw_completion")
    if not completion:
        return 0.0
    [seen] = completion_parsers.logprob_parser(completion, "m", ["m", "M"], is_binarize=False)
    switched = random_seeded_choice(seed="is_switched_outputs" + row["instruction"] + "0", choices=[False, True])
    return abs((3 - seen if switched else seen) - row["preference"])


figures = {}
for model in sorted(each for each in folder.iterdir() if each.is_dir()):
    file = model / "annotations.json"
    annotations = pd.read_json(file)
    alone = glm_winrate.get_length_controlled_winrate(annotations, save_weights_dir=None)
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "cache.json"
        shutil.copy(file, cache)
        board, _ = evaluate(
            model_outputs=str(model / "model_outputs.json"),
            reference_outputs=str(baseline),
            annotators_config="weighted_alpaca_eval_gpt4_turbo",
            precomputed_leaderboard=None,
            output_path=scratch,
            is_return_instead_of_print=True,
            caching_path=cache,
            metric_kwargs={"save_weights_dir": None},
        )
    [whole] = board.to_dict(orient="records")
    rows = json.loads(file.read_text())
    figures[model.name] = {
        "alone": {key: float(alone[key]) for key in wanted if key in alone},
        "whole": {key: float(whole[key]) for key in wanted},
        "reparsed": max(reparsed(row) for row in rows if row["preference"] is not None and not math.isnan(row["preference"])),
    }
board = pd.read_csv(folder / "leaderboard.csv", index_col=0)
print(json.dumps({"models": figures, "leaderboard": board[wanted].to_dict(orient="index")}))
