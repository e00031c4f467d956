"""Times Isogloss and its peers in turn on the same work and prints medians and ratios.

    python compare.py --isogloss target/release/isogloss --yard yard [--shapes small] [--rounds 5] [--threads 2] [--work decode,train]

`yard` is what yardsticks.py made. A round runs every program once, each with a warm-up of its own; the ratio is that of the medians over
the rounds. CTranslate2 runs in int8, with one and with as many replicas as threads; its better median counts. PyTorch runs in bf16.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BATCH = {"small": "16x32", "418m": "8x32"}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--isogloss", required=True)
parser.add_argument("--yard", type=Path, required=True)
parser.add_argument("--shapes", default="small")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--work", default="decode,train")
args = parser.parse_args()


def measure(command):
    """The JSON line that a benchmark prints last."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def decoding(shape, beam):
    model, source = args.yard / shape, args.yard / "32x32.source"
    common = ["--model", model, "--source", source, "--from", "eng_Latn", "--to", "deu_Latn", "--beam", beam, "--threads", args.threads,
              "--repeat", 3, "--warm-up", 1]
    programs = {"isogloss int8": [args.isogloss, "bench", "decode", *common, "--batch", 32, "--precision", "int8", "--json"]}
    for replicas in sorted({1, args.threads}):
        peer = [sys.executable, HERE / "ct2_decode.py", *common, "--converted", args.yard / f"ct2-{shape}", "--replicas", replicas]
        programs[f"CTranslate2 int8, {replicas} replicas"] = peer
    return f"{shape}, decoding 32 x 32, beam {beam}", programs


def training(shape):
    batch = BATCH[shape]
    common = ["--model", args.yard / shape, "--source", args.yard / f"{batch}.source", "--target", args.yard / f"{batch}.target",
              "--from", "eng_Latn", "--to", "deu_Latn", "--threads", args.threads, "--repeat", 3, "--warm-up", 1]
    programs = {
        "isogloss bf16": [args.isogloss, "bench", "train", *common, "--precision", "bf16", "--json"],
        "PyTorch bf16": [sys.executable, HERE / "torch_train.py", *common, "--mode", "bf16"],
    }
    return f"{shape}, training {batch}, LoRA r 8", programs


work = []
for shape in args.shapes.split(","):
    if "decode" in args.work:
        work += [decoding(shape, 1), decoding(shape, 5)]
    if "train" in args.work:
        work.append(training(shape))
for title, programs in work:
    speeds = {name: [] for name in programs}
    last = {}
    for _ in range(args.rounds):
        for name, command in programs.items():
            last[name] = measure(command)
            speeds[name].append(last[name]["target_tokens_per_s"])
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    ours, *peers = medians
    print(f"\n{title}: target tokens a second, median of {args.rounds} rounds (least to most); memory at the peak")
    for name, found in speeds.items():
        memory = last[name]["peak_rss_bytes"] / 1e6
        print(f"  {name:28} {medians[name]:9.1f}  ({min(found):.1f} to {max(found):.1f})  {memory:7.0f} MB")
    print(f"  ratio to the best peer       {medians[ours] / max(medians[name] for name in peers):9.2f}")
    if "ceiling_gflops" in last[ours]:
        print(f"  share of our product ceiling {100 * last[ours]['gflops'] / last[ours]['ceiling_gflops']:8.0f}%", flush=True)
