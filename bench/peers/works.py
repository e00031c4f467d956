"""The works that compare.py measures, by name: the programs of each, and what they run on."""

import gzip
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEP = {"small": "16x32", "418m": "8x32"}
REPEAT = ["--repeat", 3, "--warm-up", 1]
RAGGED = 128


@dataclass
class Work:
    title: str
    programs: dict[str, list]
    """Commands by name. Ours is the first: ratios are its speed over that of each other."""
    peers: dict[str, dict[str, list]] = field(default_factory=dict)
    """For each peer the commands of its settings, of which the fastest in a first, short round takes part in the others."""


class Works:
    """The works on one shape. A method is a work's name; it gives one or more of them."""

    NAMES = ["decode", "latency", "train", "full", "ragged", "f32", "languages", "merged"]

    def __init__(self, args, shape):
        self.args, self.shape = args, shape

    def decode(self):
        """Many sentences at a time."""
        for beam in (1, 5):
            text = ["--source", self.args.yard / "32x32.source", "--batch", 32, "--beam", beam]
            ours = {"isogloss int8": self.ours("decode", *text, "--precision", "int8")}
            replicas = sorted({1, self.args.threads})
            yield Work(f"{self.shape}, decoding 32 x 32, beam {beam}", ours, {"CTranslate2": self.ctranslate2(text, replicas)})

    def latency(self):
        """One sentence alone, on all threads."""
        for beam in (1, 5):
            text = ["--source", self.args.yard / "8x32.source", "--batch", 1, "--beam", beam]
            ours = {"isogloss int8": self.ours("decode", *text, "--precision", "int8")}
            yield Work(f"{self.shape}, decoding one sentence alone, beam {beam}", ours, {"CTranslate2": self.ctranslate2(text, [1])})

    def train(self):
        """A training step with LoRA."""
        text = self.step_text()
        ours = {"isogloss bf16": self.ours("train", *text, "--precision", "bf16")}
        yield Work(f"{self.shape}, training {STEP[self.shape]}, LoRA r 8", ours, {"PyTorch": self.pytorch(text)})

    def full(self):
        """A training step of every weight."""
        text = [*self.step_text(), "--full"]
        ours = {"isogloss bf16": self.ours("train", *text, "--precision", "bf16")}
        yield Work(f"{self.shape}, full fine-tuning {STEP[self.shape]}", ours, {"PyTorch": self.pytorch(text)})

    def ragged(self):
        """Sentences of natural lengths, in batches of 16, and for the peer also sorted by length."""
        text = [*flores(self.args.flores, self.args.yard), "--batch", 16]
        ours = {"isogloss bf16, file order": self.ours("train", *text, "--precision", "bf16")}
        peers = {
            "PyTorch, file order": self.pytorch(text),
            "PyTorch, sorted": self.pytorch([*text, "--sort"]),
        }
        yield Work(f"{self.shape}, training {RAGGED} FLORES pairs by 16, LoRA r 8", ours, peers)

    def f32(self):
        """A training step in f32, as where there is no AMX; ISOGLOSS_KERNEL_PATH is left as it is."""
        text = self.step_text()
        ours = {"isogloss f32": self.ours("train", *text, "--precision", "f32")}
        yield Work(f"{self.shape}, training {STEP[self.shape]} in f32, LoRA r 8", ours, {"PyTorch": self.pytorch(text, ["f32"])})

    def languages(self):
        """A training step with languages mixed in the batch, and with more updates in memory."""
        text = [*self.step_text(), "--sites", "all", "--precision", "bf16"]

        def ours(languages, bank):
            return self.ours("train", *text, "--languages", languages, "--bank", bank)

        title = f"{self.shape}, training {STEP[self.shape]}, all sites"
        yield Work(f"{title}, languages", {"isogloss, 12 mixed": ours(12, 12), "isogloss, 1": ours(1, 1)})
        yield Work(f"{title}, updates in memory", {"isogloss, 2 of 200": ours(2, 200), "isogloss, 2 of 2": ours(2, 2)})

    def merged(self):
        """Decoding with adapters of languages mixed in the batch, beside a model that one language's were folded into."""
        for beam in (1, 5):
            text = ["--source", self.args.yard / "32x32.source", "--batch", 32, "--beam", beam, "--precision", "int8"]
            programs = {
                "isogloss, 12 mixed": self.ours("decode", *text, "--languages", 12),
                "isogloss, 12 mixed of 200": self.ours("decode", *text, "--languages", 12, "--bank", 200),
                "isogloss, 1": self.ours("decode", *text, "--languages", 1),
                "isogloss, merged": self.ours("decode", *text, "--merged"),
            }
            yield Work(f"{self.shape}, decoding 32 x 32 with adapters, beam {beam}", programs)

    def step_text(self):
        batch = STEP[self.shape]
        return ["--source", self.args.yard / f"{batch}.source", "--target", self.args.yard / f"{batch}.target"]

    def common(self):
        return ["--model", self.args.yard / self.shape, "--from", "eng_Latn", "--to", "deu_Latn", "--threads", self.args.threads, *REPEAT]

    def ours(self, what, *more):
        return [self.args.isogloss, "bench", what, *self.common(), *more, "--json"]

    def pytorch(self, more, modes=("bf16", "f32")):
        program = [sys.executable, HERE / "torch_train.py", *self.common(), *more]
        settings = [(mode, attention) for mode in modes for attention in ("sdpa", "eager")]
        return {f"{mode}, {attention}": [*program, "--mode", mode, "--attention", attention] for mode, attention in settings}

    def ctranslate2(self, more, replicas):
        import ctranslate2

        program = [sys.executable, HERE / "ct2_decode.py", *self.common(), "--converted", self.args.yard / f"ct2-{self.shape}", *more]
        settings = [(compute, n) for compute in sorted(ctranslate2.get_supported_compute_types("cpu")) for n in replicas]
        return {f"{compute}, replicas {n}": [*program, "--compute", compute, "--replicas", n] for compute, n in settings}


def flores(folder, yard):
    """The options of a text of the first FLORES pairs, English and German, which is put beside the yardsticks."""
    options = []
    for side, code in (("source", "eng_Latn"), ("target", "deu_Latn")):
        places = [folder / name for name in (f"{code}.txt.gz", f"{code}.txt", f"{code}.dev")]
        found = next((place for place in places if place.exists()), None)
        if found is None:
            sys.exit(f"--flores: {folder} has none of {', '.join(place.name for place in places)}; give the folder of aligned files")
        with (gzip.open if found.suffix == ".gz" else open)(found, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()[:RAGGED]
        path = yard / f"flores{RAGGED}.{side}"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        options += [f"--{side}", path]
    return options
