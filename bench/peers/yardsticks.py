"""Makes what the comparison runs on: model folders with random weights, and text of an exact number of tokens.

    python yardsticks.py OUT [--shapes small,418m]

Speed doesn't depend on what the weights are. The tokenizer is that of models/mini, filled up with pieces that no text holds.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from sentencepiece import sentencepiece_model_pb2
from transformers import M2M100Config, M2M100ForConditionalGeneration

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "models" / "mini"
SHAPES = {
    "small": dict(d_model=512, layers=6, heads=8, rows=32_000),
    "418m": dict(d_model=1024, layers=12, heads=16, rows=128_112),
}


def tokenizer_files(out, rows):
    """The tokenizer of models/mini with dummy pieces between its pieces and its language tags, so that it has `rows` ids."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((MINI / "sentencepiece.bpe.model").read_bytes())
    tokenizer = json.loads((MINI / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    first = max(vocab.values()) + 1
    missing = rows - (max(tag["id"] for tag in tokenizer["added_tokens"]) + 1)
    lowest = min(piece.score for piece in proto.pieces)
    for i in range(missing):
        text = f"\u2581\u00a4{i}\u00a4"
        proto.pieces.add(piece=text, score=lowest - 1 - i)
        vocab[text] = first + i

    def moved(i):
        return i + missing if i >= first else i

    for tag in tokenizer["added_tokens"]:
        tag["id"] = moved(tag["id"])
    for special in tokenizer["post_processor"].get("special_tokens", {}).values():
        special["ids"] = [moved(i) for i in special["ids"]]
    (out / "sentencepiece.bpe.model").write_bytes(proto.SerializeToString())
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (out / name).write_text((MINI / name).read_text())


def model(out, shape):
    config = M2M100Config(
        vocab_size=shape["rows"], d_model=shape["d_model"], max_position_embeddings=1024,
        encoder_layers=shape["layers"], decoder_layers=shape["layers"],
        encoder_attention_heads=shape["heads"], decoder_attention_heads=shape["heads"],
        encoder_ffn_dim=4 * shape["d_model"], decoder_ffn_dim=4 * shape["d_model"],
        dropout=0.1, attention_dropout=0.1, activation_dropout=0.0,
        encoder_layerdrop=0.0, decoder_layerdrop=0.0,
    )
    torch.manual_seed(1)
    M2M100ForConditionalGeneration(config).save_pretrained(out)


def text(path, lines, tokens, seed):
    """Lines of single-piece words: `tokens` with language tag and </s>."""
    vocab = json.loads((MINI / "tokenizer.json").read_text())["model"]["vocab"]
    words = [p[1:] for p in vocab if p.startswith("\u2581") and len(p) > 3 and p[1:].isascii() and p[1:].isalpha()]
    words = [w for w in words if w.islower()][:2000]
    draw = random.Random(seed)
    path.write_text("".join(" ".join(draw.choices(words, k=tokens - 2)) + "\n" for _ in range(lines)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--shapes", default="small,418m")
    args = parser.parse_args()
    for name in args.shapes.split(","):
        out = args.out / name
        if (out / "model.safetensors").exists():
            continue
        out.mkdir(parents=True, exist_ok=True)
        tokenizer_files(out, SHAPES[name]["rows"])
        model(out, SHAPES[name])
    for lines in (8, 16, 32, 128):
        for side, seed in (("source", 1), ("target", 2)):
            text(args.out / f"{lines}x32.{side}", lines, 32, seed)


if __name__ == "__main__":
    main()
