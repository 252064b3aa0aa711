"""What narrower weights cost in quality and gain in speed, on the operators that libtorch has for the processor.

Quality: log-probs of the tokens of real texts (bench/fixtures/quads.jsonl) against fp32. Speed: CPU seconds of one thread for
all matrices of a layer, by rows, with more weights than the caches hold. Matrices of the layers are narrowed; embeddings, norms and the output
matrix stay.
  python bench/peers/weight_precision.py --gguf FILE [--texts 16] [--longest 384] [--speed]
Needs torch 2.13, transformers 5.23, gguf.
"""

import argparse
import copy
import json
import pathlib
import time

import torch

GROUP = 32
ROWS = (1, 5, 16, 64)


def int8_weight(w):
    scale = w.abs().amax(1).clamp(min=1e-9) / 127
    return (w / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


def int4_weight(w):
    """Asymmetric, by groups of a row: codes 0..15, w = (code - 8) * scale + zero, as _weight_int4pack_mm_for_cpu reads them."""
    groups = w.reshape(w.shape[0], -1, GROUP)
    low, high = groups.amin(2), groups.amax(2)
    scale = ((high - low) / 15).clamp(min=1e-9)
    codes = ((groups - low[..., None]) / scale[..., None]).round().clamp(0, 15)
    return codes.to(torch.int32).reshape(w.shape), scale, low + 8 * scale


class Int8(torch.nn.Module):
    def __init__(self, linear):
        super().__init__()
        codes, scale = int8_weight(linear.weight.data)
        self.codes, self.scale, self.bias = codes, scale.bfloat16(), linear.bias

    def forward(self, x):
        y = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]).bfloat16(), self.codes, self.scale).float()
        return (y if self.bias is None else y + self.bias).reshape(*x.shape[:-1], -1)


class Int4(torch.nn.Module):
    def __init__(self, linear):
        super().__init__()
        codes, scale, zero = int4_weight(linear.weight.data)
        self.packed = torch._convert_weight_to_int4pack_for_cpu(codes, 2)
        self.scales = torch.stack([scale.t(), zero.t()], 2).contiguous().bfloat16()
        self.bias = linear.bias

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1]).bfloat16()
        y = torch._weight_int4pack_mm_for_cpu(flat, self.packed, GROUP, self.scales).float()
        return (y if self.bias is None else y + self.bias).reshape(*x.shape[:-1], -1)


class DynamicInt8(torch.nn.Module):
    """fbgemm: weights by rows, inputs by the range of each call."""

    def __init__(self, linear):
        super().__init__()
        w = linear.weight.data
        scale = w.abs().amax(1).clamp(min=1e-9) / 127
        quantised = torch.quantize_per_channel(w, scale.double(), torch.zeros(len(w), dtype=torch.long), 0, torch.qint8)
        bias = None if linear.bias is None else linear.bias.data
        self.packed = torch.ops.quantized.linear_prepack(quantised, bias)

    def forward(self, x):
        return torch.ops.quantized.linear_dynamic(x, self.packed, True)


class Half(torch.nn.Module):
    """fbgemm: weights in fp16, computed in fp32."""

    def __init__(self, linear):
        super().__init__()
        self.packed = torch.fbgemm_pack_gemm_matrix_fp16(linear.weight.data)
        self.bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias.data

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        return torch.fbgemm_linear_fp16_weight_fp32_activation(flat, self.packed, self.bias).reshape(*x.shape[:-1], -1)


KINDS = {"int8 weights": Int8, "int8 weights and inputs": DynamicInt8, "int4 weights, groups of 32": Int4, "fp16 weights": Half}


def narrowed(model, make):
    model = copy.deepcopy(model)
    for layer in model.model.layers:
        for module in list(layer.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, torch.nn.Linear):
                    setattr(module, name, make(child))
    return model


def log_probs(model, texts):
    result = []
    with torch.no_grad():
        for ids in texts:
            logits = model(ids[None]).logits[0, :-1].float()
            result.append(logits.log_softmax(-1).gather(1, ids[1:, None])[:, 0])
    return torch.cat(result)


def cpu_seconds(call):
    call()
    best = float("inf")
    for _ in range(5):
        start, count = time.process_time(), 0
        while True:
            call()
            count += 1
            spent = time.process_time() - start
            if spent > 0.03:
                break
        best = min(best, spent / count)
    return best


def speed(layers):
    torch.set_num_threads(1)
    linears = [[m for m in layer.modules() if isinstance(m, torch.nn.Linear)] for layer in layers]
    kinds = {"fp32": lambda linear: linear, "bf16": lambda linear: copy.deepcopy(linear).bfloat16(), **KINDS}
    table = {}
    for kind, make in kinds.items():
        made = [[make(linear) for linear in some] for some in linears]
        for rows in ROWS:
            inputs = {w.in_features: torch.randn(rows, w.in_features) for w in linears[0]}
            if kind == "bf16":
                inputs = {size: x.bfloat16() for size, x in inputs.items()}

            def call():
                with torch.no_grad():
                    for some, plain in zip(made, linears):
                        for linear, of in zip(some, plain):
                            linear(inputs[of.in_features])

            table.setdefault(kind, {})[rows] = round(1e3 * cpu_seconds(call) / len(linears), 3)
    return table


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--longest", type=int, default=384, help="tokens of a text")
    parser.add_argument("--speed", action="store_true")
    given = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = pathlib.Path(given.gguf).resolve()
    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, attn_implementation="sdpa").eval()
    rows = [json.loads(line) for line in open(pathlib.Path(__file__).parents[1] / "fixtures" / "quads.jsonl")]
    texts = []
    for row in rows[: given.texts]:
        messages = [row["prompt"], row["chosen"][0]]
        texts.append(tokenizer(tokenizer.apply_chat_template(messages, tokenize=False), return_tensors="pt").input_ids[0][: given.longest])
    exact = log_probs(model, texts)
    report = {"model": file.name, "tokens": len(exact), "fp32 mean log-prob": exact.mean().item(), "quality": {}}
    for kind, make in [*KINDS.items(), ("bf16 throughout", None)]:
        other = copy.deepcopy(model).bfloat16() if make is None else narrowed(model, make)
        off = log_probs(other, texts) - exact
        report["quality"][kind] = {
            "mean difference": round(off.mean().item(), 5),
            "mean absolute difference": round(off.abs().mean().item(), 5),
            "largest": round(off.abs().max().item(), 4),
        }
        del other
        print(kind, report["quality"][kind], flush=True)
    if given.speed:
        report["CPU milliseconds a layer, by rows"] = speed(list(model.model.layers)[:12])
    print(json.dumps(report))


main()
