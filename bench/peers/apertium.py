"""Scores Apertium, which translates by rules and dictionaries, beside a model of ours: the same sentences, references and metrics.

Prints the rows for a model's card as Markdown. Needs `apertium` and the pairs' packages (Debian: apertium-eng-spa apertium-spa-ita
apertium-es-pt apertium-fr-es apertium-pol-szl); a pair that isn't installed, or gives nothing for a sentence, is left out, with a word.

    python3 bench/peers/apertium.py --data FLORES/devtest --model models/mini --isogloss target/release/isogloss
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PAIRS = {
    "eng_Latn-spa_Latn": "eng-spa",
    "spa_Latn-eng_Latn": "spa-eng",
    "spa_Latn-ita_Latn": "spa-ita",
    "ita_Latn-spa_Latn": "ita-spa",
    "spa_Latn-por_Latn": "es-pt",
    "por_Latn-spa_Latn": "pt-es",
    "spa_Latn-fra_Latn": "es-fr",
    "fra_Latn-spa_Latn": "fr-es",
    "pol_Latn-szl_Latn": "pol-szl",
    "szl_Latn-pol_Latn": "szl-pol",
}
"""Directions between languages of models/mini, and Apertium's modes for them."""


def run(command, text=""):
    done = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def sentences(folder, language, count):
    """The first lines of a language's file."""
    for name in (f"{language}.txt.gz", f"{language}.txt", f"{language}.devtest"):
        path = folder / name
        if path.exists():
            opened = gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else path.open(encoding="utf-8")
            with opened as file:
                lines = file.read().split("\n")[:count]
            if len(lines) < count or not all(lines):
                sys.exit(f"{path}: fewer than {count} sentences, or an empty one")
            return lines
    sys.exit(f"no text of {language} in {folder}")


def apertium(mode, lines):
    """A sentence at a time, so that none sees the next one's words; unknown words as they are, without a mark."""
    return [" ".join(run(["apertium", "-u", mode], line + "\n").split()) for line in lines]


def ours(args, source, target, lines):
    """Greedily."""
    command = [args.isogloss, "translate", "--model", args.model, "--from", source, "--to", target]
    command += ["--beam", 1, "--precision", args.precision, "--quiet"]
    return run(command, "\n".join(lines) + "\n").split("\n")[: len(lines)]


def score(isogloss, hypotheses, references):
    """chrF++ and BLEU of the first, and their signatures."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("hypotheses", "references")]
        for file, lines in zip(files, (hypotheses, references)):
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [isogloss, "score", "--hypotheses", files[0], "--references", files[1], "--metric", "chrf++,bleu", "--json"]
        scores = json.loads(run(command))["scores"]
    return [entry["score"] for entry in scores], [entry["signature"] for entry in scores]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with a file for each language, aligned: FLORES-200's devtest")
    parser.add_argument("--model", type=Path, default=Path("models/mini"))
    parser.add_argument("--isogloss", default="isogloss", help="the program")
    parser.add_argument("--sentences", type=int, default=100, help="the first so many (default 100)")
    parser.add_argument("--precision", default="int8", help="of our model (default int8)")
    return parser.parse_args()


def main():
    args = arguments()
    installed = run(["apertium", "-l"]).split()
    print("| direction | chrF++, Apertium | chrF++, mini | BLEU, Apertium | BLEU, mini |\n|---|---|---|---|---|")
    signatures = []
    for direction, mode in PAIRS.items():
        if mode not in installed:
            print(f"{direction}: Apertium's {mode} isn't installed", file=sys.stderr)
            continue
        source, target = direction.split("-")
        lines, references = (sentences(args.data, language, args.sentences) for language in (source, target))
        translations = [apertium(mode, lines), ours(args, source, target, lines)]
        if not all(translations[0]):
            # A program in Apertium's pipe that crashes leaves no other trace.
            print(f"{direction}: Apertium's {mode} gave nothing for some sentences", file=sys.stderr)
            continue
        (theirs, signatures), (mine, _) = (score(args.isogloss, found, references) for found in translations)
        numbers = " | ".join(f"{a:.2f} | {b:.2f}" for a, b in zip(theirs, mine))
        print(f"| {source} to {target} | {numbers} |", flush=True)
    print("signatures: " + "; ".join(signatures), file=sys.stderr)


if __name__ == "__main__":
    main()
