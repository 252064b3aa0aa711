"""Log-probs as they are usually computed with transformers: every prompt repeated before each of its responses, all
sequences padded to the longest, logits of every token."""

import torch


def response_logps(model, pairs, pad):
    """pairs of (prompt ids, response ids) -> (log pi(y|x) of each, tokens computed with the padding)."""
    longest = max(len(x) + len(y) for x, y in pairs)
    ids = torch.full((len(pairs), longest), pad)
    attention = torch.zeros(len(pairs), longest, dtype=torch.long)
    scored = torch.zeros(len(pairs), longest, dtype=torch.bool)
    for row, (x, y) in enumerate(pairs):
        end = len(x) + len(y)
        ids[row, :end] = torch.tensor(list(x) + list(y))
        attention[row, :end] = 1
        scored[row, len(x) : end] = True
    logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits[:, :-1].float()
    per_token = logits.log_softmax(-1).gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
    return (per_token * scored[:, 1:]).sum(-1), ids.numel()
