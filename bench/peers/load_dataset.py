"""Opens a data set that `amalgam export RUN FOLDER --as dataset` wrote with Hugging Face's `datasets`, and asks TRL what it is.

    python3 -P bench/peers/load_dataset.py FOLDER [CACHE]

Needs datasets and trl. Prints each part with its rows and columns; fails where a part can't be opened, has no rows, or is no
conversational data of TRL's. It must see just what pyarrow reads from the files.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq
from datasets import get_dataset_config_names, load_dataset
from trl import is_conversational
from trl.data_utils import maybe_apply_chat_template

folder, cache = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None


class Template:
    """Enough of a tokenizer for TRL's helper: it shows that TRL takes the rows as prompts with answers."""

    def apply_chat_template(self, messages, tools=None, tokenize=False, **_):
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in messages)


default = load_dataset(folder, cache_dir=cache)
print("without a name:", {split: len(rows) for split, rows in default.items()})
for name in get_dataset_config_names(folder):
    rows = load_dataset(folder, name, split="train", cache_dir=cache)
    files = sorted(Path(folder, name).glob("*.parquet"))
    written = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len(written) > 0, name
    assert all(rows[at] == written[at] for at in range(len(rows))), name
    assert is_conversational(rows[0]), name
    applied = maybe_apply_chat_template({key: rows[0][key] for key in ("prompt", "chosen", "rejected", "completion") if key in rows[0]}, Template())
    assert all(isinstance(text, str) for text in applied.values()), name
    print(f"{name}: {len(rows)} rows, columns {', '.join(rows.column_names)}; conversational for TRL")
