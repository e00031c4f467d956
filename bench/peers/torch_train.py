"""Times a training step of PyTorch + transformers + PEFT as `isogloss bench train` times ours; prints one JSON line.

    python torch_train.py --model DIR --source FILE --target FILE --from eng_Latn --to deu_Latn --mode bf16 --attention sdpa
"""

import argparse
import json
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, M2M100ForConditionalGeneration

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--source", required=True)
parser.add_argument("--target", required=True)
parser.add_argument("--from", dest="source_language", default="eng_Latn")
parser.add_argument("--to", dest="target_language", default="deu_Latn")
parser.add_argument("--mode", choices=["f32", "bf16"], default="bf16", help="bf16: bf16 weights of the base and autocast")
parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
parser.add_argument("--full", action="store_true")
parser.add_argument("--batch", type=int, default=0, help="sentences of a step; 0: all")
parser.add_argument("--sort", action="store_true", help="pairs by length, so that batches pad less")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--warm-up", type=int, default=1)
parser.add_argument("--repeat", type=int, default=3)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(1)
tokenizer = AutoTokenizer.from_pretrained(args.model, src_lang=args.source_language, tgt_lang=args.target_language)
weights = torch.bfloat16 if args.mode == "bf16" and not args.full else torch.float32
model = M2M100ForConditionalGeneration.from_pretrained(args.model, dtype=weights, attn_implementation=args.attention)
if not args.full:
    lora = LoraConfig(r=8, lora_alpha=8, target_modules=["fc1", "fc2"], lora_dropout=0.0)
    model = get_peft_model(model, lora)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimiser = torch.optim.Adam(trained, lr=1e-6)

sources = open(args.source, encoding="utf-8").read().splitlines()
targets = open(args.target, encoding="utf-8").read().splitlines()
if args.sort:
    order = sorted(range(len(targets)), key=lambda i: (len(targets[i]), len(sources[i])))
    sources, targets = [sources[i] for i in order], [targets[i] for i in order]
size = args.batch or len(sources)
batches = []
for i in range(0, len(sources), size):
    x = tokenizer(sources[i:i + size], text_target=targets[i:i + size], return_tensors="pt", padding=True)
    x["labels"][x["labels"] == tokenizer.pad_token_id] = -100
    batches.append(x)
tokens = sum(int((x["labels"] != -100).sum()) for x in batches)


def step(x):
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.mode == "bf16"):
        labels = x["labels"]
        start = torch.full((labels.shape[0], 1), model.config.decoder_start_token_id)
        inputs = torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == -100, model.config.pad_token_id)], 1)
        logits = model(input_ids=x["input_ids"], attention_mask=x["attention_mask"], decoder_input_ids=inputs).logits
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1), label_smoothing=0.1, ignore_index=-100)
    loss.backward()
    optimiser.step()
    return float(loss)


seconds = []
for i in range(args.warm_up + args.repeat):
    started = time.perf_counter()
    for x in batches:
        step(x)
    if i >= args.warm_up:
        seconds.append(time.perf_counter() - started)
median = statistics.median(seconds)
print(json.dumps({
    "target_tokens_per_s": tokens / median, "median_s": median, "target_tokens": tokens,
    "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    "threads": args.threads, "mode": args.mode, "attention": args.attention,
}))
