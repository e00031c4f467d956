"""Times Isogloss and its peers in turn on the same work and prints medians and ratios.

    python compare.py --isogloss target/release/isogloss --yard yard [--shapes small] [--rounds 5] [--threads 2] [--work decode,train]

`yard` is what yardsticks.py made. Works:

    decode     many sentences at a time, greedy and beam 5, beside CTranslate2
    latency    one sentence alone on all threads, greedy and beam 5, beside CTranslate2 and what the memory allows
    train      a training step with LoRA, beside PyTorch
    full       a training step of every weight, beside PyTorch
    ragged     sentences of natural lengths in batches, beside PyTorch with and without sorting; needs --flores
    f32        a training step in f32, as where there is no AMX, beside PyTorch in f32
    languages  a training step with 12 languages mixed beside 1, and with 200 updates in memory beside 2: ours alone
    merged     decoding with adapters of 12 languages mixed beside a model that one language's were folded into: ours alone
    all        all of these; ragged only with --flores

A peer's settings (CTranslate2: every compute type of this machine, one replica and as many as threads; PyTorch: bf16 and f32, sdpa and
eager attention) run once in a first, short round, and the fastest takes part in the others. A round runs every program once, each with a
warm-up of its own; a ratio is that of the medians over the rounds, and above 1 the first program is the faster.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from works import Works


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isogloss", required=True)
    parser.add_argument("--yard", type=Path, required=True)
    parser.add_argument("--shapes", default="small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", default="decode,train", help="names, separated by commas")
    parser.add_argument("--flores", type=Path, help="folder of aligned files eng_Latn and deu_Latn (.txt.gz, .txt or .dev)")
    args = parser.parse_args()
    names = args.work.split(",")
    if names == ["all"]:
        names = [name for name in Works.NAMES if name != "ragged" or args.flores]
    if unknown := sorted(set(names) - set(Works.NAMES)):
        parser.error(f"--work: no work is called {', '.join(unknown)}; there are {', '.join(Works.NAMES)} and all")
    if "ragged" in names and not args.flores:
        parser.error("--work ragged needs --flores")
    return args, names


def measure(command):
    """The JSON line that a benchmark prints last."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def fastest(peer, settings):
    """Name and command of the fastest of a peer's settings; prints all."""
    speeds = {name: measure([*command, "--repeat", 1])["target_tokens_per_s"] for name, command in settings.items()}
    for name, speed in sorted(speeds.items(), key=lambda found: -found[1]):
        print(f"    first round: {peer + ', ' + name:36} {speed:9.1f}", flush=True)
    best = max(speeds, key=speeds.get)
    return f"{peer}, {best}", settings[best]


def run(work, rounds):
    print(f"\n{work.title}: target tokens a second", flush=True)
    programs = dict(work.programs)
    programs.update(fastest(peer, settings) for peer, settings in work.peers.items())
    reports = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            reports[name].append(measure(command))

    def speeds(name):
        return [report["target_tokens_per_s"] for report in reports[name]]

    print(f"  median of {rounds} rounds (least to most); memory at the peak")
    ours = next(iter(programs))
    median = statistics.median(speeds(ours))
    for name in programs:
        found = speeds(name)
        memory = max(report["peak_rss_bytes"] for report in reports[name]) / 1e6
        ratio = "" if name == ours else f"  ratio {median / statistics.median(found):.2f}"
        print(f"  {name:38} {statistics.median(found):9.1f}  ({min(found):.1f} to {max(found):.1f})  {memory:7.0f} MB{ratio}")
    shares(reports[ours])


def shares(reports):
    """What our program reaches of the machine's limits, each measured in its own run."""
    share = statistics.median(100 * report["gflops"] / report["ceiling_gflops"] for report in reports)
    print(f"  share of our product ceiling {share:.0f}%", flush=True)
    # Only a sentence alone has no others to share a step with.
    if "limit_tokens_per_s" in reports[0] and reports[0]["batch"] == 1:
        limit = statistics.median(report["limit_tokens_per_s"] for report in reports)
        speed = statistics.median(report["memory_gb_per_s"] for report in reports)
        share = statistics.median(100 * report["target_tokens_per_s"] / report["limit_tokens_per_s"] for report in reports)
        megabytes = reports[0]["step_weight_bytes"] / 1e6
        print(f"  memory's limit {limit:.1f} tokens a second ({megabytes:.1f} MB a step at {speed:.1f} GB/s); share {share:.0f}%", flush=True)


def main():
    args, names = arguments()
    for shape in args.shapes.split(","):
        works = Works(args, shape)
        for name in names:
            for work in getattr(works, name)():
                run(work, args.rounds)


if __name__ == "__main__":
    main()
