#!/usr/bin/env python3
"""Times the comparison of two systems in every direction of twelve languages, beside sacreBLEU's paired tests.

    python bench/peers/significance.py --isogloss target/release/isogloss --flores FLORES/devtest

The systems are the sources as they are and damaged references: what they say doesn't matter, only how much there is of it.
Ours is `isogloss evaluate --system copy --against DIR`, whole, with 20,000 resamples of each kind (randomisation and
bootstrap) in one metric. sacreBLEU's `PairedTest` would take hours: it runs in a few directions with two small numbers of
resamples, which gives its time for a direction and for a resample; the rest is multiplied.
"""

import argparse
import gzip
import itertools
import random
import subprocess
import tempfile
import time
from pathlib import Path

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

LANGUAGES = ["eng_Latn", "fra_Latn", "ita_Latn", "deu_Latn", "nld_Latn", "zho_Hans", "jpn_Jpan", "kor_Hang", "oci_Latn", "ory_Orya", "snd_Arab", "wol_Latn"]
METRICS = {"chrf++": lambda: CHRF(word_order=2), "bleu": BLEU}
FEW, MORE = 100, 1500


def damaged(line, rng):
    return " ".join(word for word in line.split(" ") if rng.random() > 0.2)


def peer(metric, directions, texts, systems):
    """Seconds of sacreBLEU for a direction and for a resample of each kind."""
    def run(resamples):
        start = time.perf_counter()
        for source, target in directions:
            named = [("base", systems[source, target]), ("copy", texts[source])]
            references = [texts[target]]
            for test in ("ar", "bs"):
                PairedTest(named, {metric: METRICS[metric]()}, references, test_type=test, n_samples=resamples)()
        return (time.perf_counter() - start) / len(directions)

    few, more = run(FEW), run(MORE)
    resample = (more - few) / (MORE - FEW)
    return few - FEW * resample, resample


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isogloss", type=Path, required=True)
    parser.add_argument("--flores", type=Path, required=True, help="folder with LANGUAGE.txt.gz")
    parser.add_argument("--directions", type=int, default=2, help="that sacreBLEU is timed in")
    parser.add_argument("--resamples", type=int, default=20_000)
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    texts = {}
    for language in LANGUAGES:
        with gzip.open(args.flores / f"{language}.txt.gz", "rt", encoding="utf-8") as file:
            texts[language] = file.read().splitlines()
    directions = list(itertools.permutations(LANGUAGES, 2))
    rng = random.Random(1)
    systems = {(s, t): [damaged(line, rng) for line in texts[t]] for s, t in directions}
    sample = random.Random(2).sample(directions, args.directions)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for (source, target), lines in systems.items():
            (folder / f"{source}-{target}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for metric in args.metrics:
            command = [args.isogloss, "evaluate", "--system", "copy", "--against", folder, "--data", args.flores]
            command += ["--languages", ",".join(LANGUAGES), "--metric", metric, "--resamples", args.resamples]
            command += ["--threads", args.threads, "--out", folder / "copy.json"]
            start = time.perf_counter()
            subprocess.run([str(x) for x in command], check=True, stdout=subprocess.DEVNULL)
            ours = time.perf_counter() - start
            direction, resample = peer(metric, sample, texts, systems)
            theirs = len(directions) * (direction + args.resamples * resample)
            print(
                f"{metric}: {len(directions)} directions of {len(texts[LANGUAGES[0]])} sentences, {args.resamples} resamples: "
                f"ours {ours:.1f} s on {args.threads} threads; sacreBLEU {direction:.2f} s a direction and {1000 * resample:.2f} ms a "
                f"resample of both kinds, {theirs:.0f} s in all: {theirs / ours:.0f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()
