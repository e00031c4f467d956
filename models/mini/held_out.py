"""Takes held-out pairs of Tatoeba for the medium languages, and scores a model on them.

Held out means: neither side of a pair, nor any sentence linked to one through at most one other language in any of Tatoeba's files,
occurs in the training text of pretrain.toml and what continues it (rows of Tatoeba, LibreOffice's help, NLLB-Seed; letters and digits
alone are compared, without case), and no eight words in a row occur in FLORES-200 in that language. Of the pairs that remain, `--sentences` are drawn with
a fixed seed. High languages have none: every row of theirs is training text. Prints rows for the card as Markdown.

    python3 models/mini/held_out.py --data DATA --out held-out --isogloss target/release/isogloss
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

ENGLISH = "eng_Latn"
HIGH = ["eng_Latn", "deu_Latn", "fra_Latn", "spa_Latn", "ita_Latn", "rus_Cyrl", "por_Latn"]
MEDIUM = ["nld_Latn", "ces_Latn", "pol_Latn", "ukr_Cyrl", "ell_Grek", "hun_Latn", "tur_Latn", "fin_Latn", "jpn_Jpan"]
MEDIUM_ROWS = 6000
"""Rows of a file with a medium language that are training text."""
NGRAM = 8


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def key(text):
    """What two spellings of a sentence have in common."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def ngrams(text):
    words = text.casefold().split()
    return {tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}


class Tatoeba:
    """All files: rows by pair of languages, links between sentences, and which sentences are training text."""

    def __init__(self, data):
        self.rows, self.links, self.trained = {}, defaultdict(set), set()
        for path in sorted((data / "tatoeba").glob("*.tsv.gz")):
            languages = tuple(path.name.removesuffix(".tsv.gz").split("-"))
            rows = self.rows[languages] = [line.split("\t") for line in lines(path)]
            used = self.used(languages, len(rows))
            for at, texts in enumerate(rows):
                first, second = zip(languages, map(key, texts))
                self.links[first].add(second)
                self.links[second].add(first)
                if at < used:
                    self.trained.update((first, second))

    @staticmethod
    def used(languages, count):
        """Rows that were trained on, in whatever part."""
        if set(languages) <= set(HIGH):
            return count
        return MEDIUM_ROWS if set(languages) <= {*HIGH, *MEDIUM} else 0

    def is_free(self, sentence):
        """Whether nothing within two links was trained on."""
        seen = front = {sentence}
        for _ in range(3):
            if front & self.trained:
                return False
            front = {other for one in front for other in self.links[one]} - seen
            seen = seen | front
        return True


def other_text(data):
    """Sentences of the help and of NLLB-Seed, as (language, key)."""
    found = set()
    head, *rows = (line.split("\t") for line in lines(data / "lohelp" / "multiparallel.tsv.gz"))
    for row in rows:
        found.update((language, key(text)) for language, text in zip(head, row) if text)
    found.update((ENGLISH, key(line)) for line in lines(data / "seed" / f"{ENGLISH}.txt.gz"))
    return found


def flores(data, language):
    found = set()
    for split in ("dev", "devtest"):
        for line in lines(data / "flores200" / split / f"{language}.txt.gz"):
            found |= ngrams(line)
    return found


def held_out(tatoeba, seen, overlaps, language):
    """Pairs (English, other) that are held out, in the file's order."""
    languages = (ENGLISH, language) if (ENGLISH, language) in tatoeba.rows else (language, ENGLISH)
    found = []
    for texts in tatoeba.rows[languages][MEDIUM_ROWS:]:
        sentences = list(zip(languages, map(key, texts)))
        if any(sentence in seen or not tatoeba.is_free(sentence) for sentence in sentences):
            continue
        if any(ngrams(text) & overlaps[of] for of, text in zip(languages, texts)):
            continue
        found.append(tuple(texts) if languages[0] == ENGLISH else tuple(reversed(texts)))
    return found


def evaluate(args, folder, language, system):
    """chrF++ and BLEU into and out of English."""
    directions = [f"{language}-{ENGLISH}", f"{ENGLISH}-{language}"]
    out = folder / f"{system}.json"
    command = [args.isogloss, "evaluate", "--data", folder, "--directions", ",".join(directions), "--out", out, "--quiet"]
    command += ["--model", args.model, "--system", system, "--beam", 1, "--precision", args.precision]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{args.isogloss} failed: {done.stderr.strip()}")
    found = {entry["direction"]: entry["scores"] for entry in json.loads(out.read_text())["directions"]}
    return [{entry["metric"]: entry["score"] for entry in found[direction]} for direction in directions]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with tatoeba, lohelp, seed and flores200")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pairs and scores")
    parser.add_argument("--model", type=Path, default=Path("models/mini"))
    parser.add_argument("--isogloss", default="isogloss", help="the program")
    parser.add_argument("--sentences", type=int, default=100, help="pairs of a language (default 100)")
    parser.add_argument("--precision", default="int8", help="of the model (default int8)")
    return parser.parse_args()


def main():
    args = arguments()
    tatoeba, seen = Tatoeba(args.data), other_text(args.data)
    english = flores(args.data, ENGLISH)
    print("| language | held-out pairs | into English: chrF++ | BLEU | chrF++ of a copy | from English: chrF++ | BLEU | chrF++ of a copy |")
    print("|---|---|---|---|---|---|---|---|")
    columns = []
    for language in MEDIUM:
        overlaps = {ENGLISH: english, language: flores(args.data, language)}
        pairs = held_out(tatoeba, seen, overlaps, language)
        drawn = random.Random(1).sample(pairs, min(args.sentences, len(pairs)))
        folder = args.out / language
        folder.mkdir(parents=True, exist_ok=True)
        for of, texts in zip((ENGLISH, language), zip(*drawn)):
            (folder / f"{of}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        ours, copy = (evaluate(args, folder, language, system) for system in ("model", "copy"))
        row = [x for mine, same in zip(ours, copy) for x in (mine["chrf++"], mine["bleu"], same["chrf++"])]
        columns.append(row)
        print(f"| {language} | {len(pairs):,} | " + " | ".join(f"{x:.2f}" for x in row) + " |", flush=True)
    means = [sum(column) / len(columns) for column in zip(*columns)]
    print("| **mean** | | " + " | ".join(f"{x:.2f}" for x in means) + " |")


if __name__ == "__main__":
    main()
