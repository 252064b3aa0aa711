"""Python's clients against `amalgam serve`: OpenAI's own, and lm-evaluation-harness, whose figures through the server must be those
of its own `hf` backend on the same weights. Called by bench/serve-clients.mjs; needs openai, lm_eval[api], torch, transformers.

    python serve_clients.py --url http://127.0.0.1:PORT/v1 --model NAME --folder HF_FOLDER --tasks serve_tasks.jsonl

The key is read from OPENAI_API_KEY. Fails at the first difference.
"""

import argparse
import json
import math
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

import openai

given = argparse.ArgumentParser()
for name in ("url", "model", "folder", "tasks"):
    given.add_argument(f"--{name}", required=True)
given = given.parse_args()
client = openai.OpenAI(base_url=given.url, max_retries=0)
ask = {"model": given.model, "messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 12}


def expect(what, condition):
    print(("ok    " if condition else "WRONG ") + what, flush=True)
    if not condition:
        raise SystemExit(1)


def refused(what, kind, **more):
    try:
        (more.pop("client", client)).chat.completions.create(**{**ask, **more})
    except kind as error:
        expect(f"{what} raises {kind.__name__}", True)
        return error
    except Exception as error:  # noqa: BLE001
        expect(f"{what} raises {type(error).__name__}, not {kind.__name__}: {error}", False)
    expect(f"{what} raises {kind.__name__}", False)


def openai_client():
    expect("models are listed", given.model in [model.id for model in client.models.list()])
    seeded = {**ask, "seed": 5, "temperature": 1}
    whole = client.chat.completions.create(**seeded, n=3, logprobs=True, top_logprobs=3)
    expect("n choices", [choice.index for choice in whole.choices] == [0, 1, 2])
    tokens = whole.choices[0].logprobs.content
    expect("log-probs of each token, with the others", all(t.logprob <= 0 and len(t.top_logprobs) == 3 for t in tokens))
    texts = ["", "", ""]
    used = None
    for chunk in client.chat.completions.create(**seeded, n=3, stream=True, stream_options={"include_usage": True}):
        used = chunk.usage or used
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    expect("a stream has the same texts", texts == [choice.message.content for choice in whole.choices])
    expect("and the same usage", used == whole.usage)
    with client.chat.completions.stream(**seeded) as stream:
        helped = "".join(event.delta for event in stream if event.type == "content.delta")
    expect("the streaming helper's text, too", helped == texts[0])
    vectors = client.embeddings.create(model=given.model, input=["one", "two words"]).data
    expect("embeddings have length 1", all(abs(math.hypot(*v.embedding) - 1) < 1e-4 for v in vectors))
    error = refused("a temperature of 9", openai.BadRequestError, temperature=9)
    expect("which names the field", error.param == "temperature")
    refused("an unknown model", openai.NotFoundError, model="gpt-9")
    wrong = openai.OpenAI(base_url=given.url, api_key="wrong", max_retries=0)
    refused("a wrong key", openai.AuthenticationError, client=wrong)
    error = refused("a prompt beyond the context", openai.BadRequestError, messages=[{"role": "user", "content": "word " * 20000}])
    expect("by its code", error.code == "context_length_exceeded")


task_files = {
    "amalgam_choice": """
task: amalgam_choice
dataset_path: json
dataset_kwargs: {data_files: {test: CHOICE}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: answer
doc_to_choice: choices
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "amalgam_text": """
task: amalgam_text
dataset_path: json
dataset_kwargs: {data_files: {test: TEXT}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: " {{target}}"
generation_kwargs: {until: ["\\n", "."], max_gen_toks: 12, do_sample: false, temperature: 0}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "amalgam_rolling": """
task: amalgam_rolling
dataset_path: json
dataset_kwargs: {data_files: {test: TEXT}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}} {{target}}"
metric_list: [{metric: word_perplexity}]
""",
}


def harness():
    import lm_eval
    from lm_eval.tasks import TaskManager

    folder = Path(tempfile.mkdtemp(prefix="amalgam-lm-eval-"))
    rows = [json.loads(line) for line in Path(given.tasks).read_text().splitlines()]
    for kind in ("choice", "text"):
        (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row["kind"] == kind))
    for name, text in task_files.items():
        text = text.replace("CHOICE", str(folder / "choice.jsonl")).replace("TEXT", str(folder / "text.jsonl"))
        (folder / f"{name}.yaml").write_text(text)
    manager = TaskManager(include_path=str(folder))

    def evaluate(model, arguments, tasks, **more):
        return lm_eval.simple_evaluate(
            model=model, model_args=arguments, tasks=tasks, task_manager=manager, log_samples=True, bootstrap_iters=0, device="cpu", **more
        )

    hf = f"pretrained={given.folder},dtype=float32"
    served = f"model={given.model},tokenizer={given.folder},tokenizer_backend=huggingface,max_retries=1,max_length=2048"

    def same(what, ours, theirs, tasks):
        for task in tasks:
            figures = [{k: v for k, v in side["results"][task].items() if isinstance(v, float)} for side in (ours, theirs)]
            shown = ", ".join(f"{key.split(',')[0]} {value:.6g}" for key, value in figures[0].items() if "stderr" not in key)
            close = all(math.isclose(figures[0][key], value, rel_tol=1e-4) for key, value in figures[1].items() if "stderr" not in key)
            expect(f"{what}, {task}: {shown}", close and len(figures[1]) > 0)
            for mine, other in zip(ours["samples"][task], theirs["samples"][task], strict=True):
                if mine["resps"] and isinstance(mine["resps"][0][0], str):
                    expect(f"  {mine['resps'][0][0]!r}", mine["resps"] == other["resps"])
                    continue
                for (left,), (right,) in zip(mine["resps"], other["resps"], strict=True):
                    pairs = zip(left, right) if isinstance(left, (tuple, list)) else [(left, right)]
                    for a, b in pairs:
                        if not (a == b or math.isclose(float(a), float(b), abs_tol=2e-3)):
                            expect(f"  log-likelihood {a} is {b}", False)

    tasks = list(task_files)
    theirs = evaluate("hf", hf, tasks, batch_size=8)
    for batch, concurrent in ((1, 4), (8, 1)):
        arguments = f"{served},base_url={given.url}/completions,num_concurrent={concurrent}"
        ours = evaluate("local-completions", arguments, tasks, batch_size=batch)
        same(f"local-completions, {batch} a request", ours, theirs, tasks)
    chat = f"{served},base_url={given.url}/chat/completions,num_concurrent=4"
    ours = evaluate("local-chat-completions", chat, ["amalgam_text"], apply_chat_template=True)
    theirs = evaluate("hf", hf, ["amalgam_text"], apply_chat_template=True, batch_size=1)
    same("local-chat-completions", ours, theirs, ["amalgam_text"])


openai_client()
harness()
