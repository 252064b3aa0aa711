"""Do the folders that Amalgam writes hold the model that it read? transformers opens them and computes.

    npm run build && python3 -P bench/saved_models.py [folder with smollm2.gguf, qwen.gguf, gemma.gguf]

Each tiny folder of src/models/fixtures, and each GGUF file where they are given, is read by Amalgam, saved, and opened by
transformers as a user would: from_pretrained without settings. Its log-probs are compared with those in the tests' fixtures, which
transformers computed from the originals; its tokenizer with the ids that Amalgam's own gives.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

root = Path(__file__).resolve().parents[1]
models = Path(sys.argv[1]) if len(sys.argv) > 1 else None
save = """
import { loadFiles, readModelFiles, saveModel } from "amalgam/models";
const [from, to, precision] = process.argv.slice(1);
const files = await readModelFiles(from, "saved");
const model = loadFiles(files, { precision, device: "cpu" });
saveModel(to, model, "# saved");
console.log(JSON.stringify(["Hello, world! \\u4f60\\u597d  \\ud83d\\ude00", "  def f(x):\\n\\treturn x"].map((text) => [text, model.tokenizer.encode(text)])));
"""

families = sorted(folder.name.removeprefix("tiny-") for folder in (root / "src/models/fixtures").glob("tiny-*") if folder.is_dir())

# The tiny models have no tokenizer of their own: every byte is a token. GPT-2 writes those that don't print from U+0100.
printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
others = [byte for byte in range(256) if byte not in printing]
characters = [chr(256 + others.index(byte)) if byte in others else chr(byte) for byte in range(256)]
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
byte_tokenizer = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
    "model": {"type": "BPE", "vocab": {c: byte for byte, c in enumerate(characters)}, "merges": []},
}


def logp(model, prompt, response):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + response]), use_cache=False).logits[0, len(prompt) - 1:-1].double()
    return logits.log_softmax(-1).gather(-1, torch.tensor(response).unsqueeze(-1)).sum().item()


def check(name, source, rows, precision, folder):
    made = subprocess.run(["node", "--input-type=module", "-e", save, source, folder, precision],
                          cwd=root, check=True, capture_output=True, text=True)
    model = AutoModelForCausalLM.from_pretrained(folder)
    worst = max(abs(logp(model, row["prompt"], y["ids"]) - (y["logp"] if "logp" in y else sum(y["logps"])))
                for row in rows for y in row["responses"])
    print(f"{name:14} {precision}: opens as {model.dtype}, log-probs off by {worst:.1e} at most", end="", flush=True)
    if name.startswith("tiny"):
        print()
        return
    tokenizer = AutoTokenizer.from_pretrained(folder)
    equal = all(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) == own for text, own in json.loads(made.stdout))
    print(f", token ids {'equal' if equal else 'DIFFER'}", flush=True)


for precision in ["fp32", "bf16"]:
    with tempfile.TemporaryDirectory() as scratch:
        for family in families:
            fixtures = root / "src/models/fixtures"
            rows = json.loads((fixtures / f"tiny-{family}.json").read_text())["bundles"]
            source = Path(scratch) / f"source-{family}"
            source.mkdir()
            for file in (fixtures / f"tiny-{family}").iterdir():
                (source / file.name).write_bytes(file.read_bytes())
            (source / "tokenizer.json").write_text(json.dumps(byte_tokenizer))
            check(f"tiny {family}", str(source), rows, precision, str(Path(scratch) / f"saved-{family}"))
        real = json.loads((root / "src/scoring/fixtures/real-logps.json").read_text())
        for name, rows in real.items() if models else ():
            check(name, str(models / f"{name}.gguf"), rows, precision, str(Path(scratch) / name))
