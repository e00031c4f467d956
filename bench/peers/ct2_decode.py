"""Times decoding with CTranslate2 as `isogloss bench decode` times ours; prints one JSON line.

    python ct2_decode.py --model DIR --converted DIR --source FILE --beam 5 --compute int8 --threads 2 --replicas 1
"""

import argparse
import json
import os
import resource
import statistics
import time

import ctranslate2
from transformers import AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--converted", required=True, help="made from --model if it isn't there")
parser.add_argument("--source", required=True)
parser.add_argument("--from", dest="source_language", default="eng_Latn")
parser.add_argument("--to", dest="target_language", default="deu_Latn")
parser.add_argument("--beam", type=int, default=5)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--exact-length", type=int, default=32)
parser.add_argument("--compute", default="int8")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--replicas", type=int, default=1)
parser.add_argument("--warm-up", type=int, default=1)
parser.add_argument("--repeat", type=int, default=5)
args = parser.parse_args()

if not os.path.exists(args.converted):
    ctranslate2.converters.TransformersConverter(args.model).convert(args.converted)
tokenizer = AutoTokenizer.from_pretrained(args.model, src_lang=args.source_language)
lines = open(args.source, encoding="utf-8").read().splitlines()
sources = [tokenizer.convert_ids_to_tokens(tokenizer.encode(line)) for line in lines]
prefix = [[args.target_language]] * len(sources)
translator = ctranslate2.Translator(
    args.converted, compute_type=args.compute,
    inter_threads=args.replicas, intra_threads=max(1, args.threads // args.replicas))
options = dict(
    beam_size=args.beam, max_batch_size=max(1, args.batch // args.replicas), batch_type="examples",
    min_decoding_length=args.exact_length + 1, max_decoding_length=args.exact_length + 1)

seconds = []
for i in range(args.warm_up + args.repeat):
    started = time.perf_counter()
    found = translator.translate_batch(sources, target_prefix=prefix, **options)
    if i >= args.warm_up:
        seconds.append(time.perf_counter() - started)
lengths = {len(r.hypotheses[0]) - 1 for r in found}
median = statistics.median(seconds)
tokens = args.exact_length * len(sources)
print(json.dumps({
    "target_tokens_per_s": tokens / median, "median_s": median, "target_tokens": tokens, "lengths": sorted(lengths),
    "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    "threads": args.threads, "replicas": args.replicas, "compute": args.compute,
}))
