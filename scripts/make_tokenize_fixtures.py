"""Makes the models and expected ids under crates/isogloss/tests/fixtures/tokenize.

    python scripts/make_tokenize_fixtures.py FOLDER_OF_HANDBOOK_TSV

Needs sentencepiece 0.2.3 and transformers 5. The handbook's files are TSV with the text in the fourth column.
"""

import glob
import json
import os
import pathlib
import shutil
import sys
import tempfile

import sentencepiece as spm
from transformers import M2M100Tokenizer, NllbTokenizer

OUT = pathlib.Path(__file__).parent.parent / "crates/isogloss/tests/fixtures/tokenize"

OWN = [
    "المضخة تعمل بسرعة ثابتة، ولا يجوز تشغيلها جافة.",
    "دستگاه را خاموش کنید و می‌خواهیم آن را تمیز کنیم.",
    "ปั๊มทำงานด้วยความเร็วคงที่ ห้ามเดินเครื่องเปล่า",
    "पंप स्थिर गति से चलता है, उसे सूखा न चलाएँ।",
    "펌프는 일정한 속도로 작동합니다.",
    "Máy bơm chạy với tốc độ ổn định.",
    "水泵以恒定速度运转，切勿空转。",
]

CASES = [
    "",
    " ",
    "   \t  ",
    "a",
    "Check the pump before you start it.",
    "  two  spaces   and a tail  ",
    "Prüfen Sie die Pumpe, bevor Sie sie starten: 12,5 bar bei 80 °C.",
    "Zażółć gęślą jaźń",
    "Проверьте насос перед пуском.",
    "ポンプを始動する前に点検してください。",
    "ｆｕｌｌ　ｗｉｄｔｈ ﾎﾟﾝﾌﾟ ①②③ ﬁ ½ ™",
    "e\u0301a\u0300o\u0323\u0302 vs éàộ",
    "a\u0315\u0300\u05ae\u0300b",
    "المُضَخَّةُ تَعْمَلُ، نظراً لوجود ١٢٣",
    "می‌خواهیم",
    "ปั๊มทำงาน",
    "पंप चलाएँ क्षि",
    "한국어 \u1112\u1161\u11ab\u1100\u116e\u11a8",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "tab\there\x01\x02 bell\x07 del\x7f c1\x85\x9f",
    "line\u2028sep\u2029par\u00a0nbsp\u200bzwsp\ufeffbom\u00adshy",
    "nul\x00inside",
    "new\nline\r\nend",
    "▁already▁escaped▁▁twice",
    "<s> </s> <unk> <pad> <0x41> <mask> __en__ eng_Latn",
    "[PART] and [PART][PART2]x[PAR",
    "[PART]",
    " [PART] ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "000000000 11111 %%%%% ......... ------",
    "\U0010ffff\U000e0001 \ufffd ⁇",
    "ЁЙ её Ё Й",
    "1\u20442 x\u00b2 H\u2082O \u212b \u2126",
]

MODELS = {
    "unigram": dict(model_type="unigram", vocab_size=420, normalization_rule_name="nmt_nfkc", user_defined_symbols=["[PART]", "[PART2]"]),
    "unigram_bytes": dict(model_type="unigram", vocab_size=560, normalization_rule_name="identity", byte_fallback=True),
    "bpe": dict(model_type="bpe", vocab_size=420, normalization_rule_name="identity", user_defined_symbols=["[PART]", "[PART2]"]),
    "bpe_bytes": dict(model_type="bpe", vocab_size=600, normalization_rule_name="identity", byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False),
    "suffix": dict(model_type="unigram", vocab_size=300, normalization_rule_name="identity", treat_whitespace_as_suffix=True, remove_extra_whitespaces=False, user_defined_symbols=["▁▁", "oo"]),
}


def train(name, text):
    spm.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(OUT / name), character_coverage=0.985, hard_vocab_limit=False,
        num_threads=1, minloglevel=2, **MODELS[name],
    )
    os.remove(OUT / f"{name}.vocab")


def unused(name, source):
    """The model `source` with every third merged piece unused: text is then cut into its halves."""
    from sentencepiece import sentencepiece_model_pb2 as pb

    model = pb.ModelProto()
    model.ParseFromString((OUT / f"{source}.model").read_bytes())
    long = [p for p in model.pieces if p.type == 1 and len(p.piece) > 1]
    for piece in long[::3]:
        piece.type = 5
    (OUT / f"{name}.model").write_bytes(model.SerializeToString())


def main(handbook):
    OUT.mkdir(parents=True, exist_ok=True)
    lines = []
    for path in sorted(glob.glob(f"{handbook}/*.tsv")):
        lines += [line.rstrip("\n").split("\t")[3] for line in open(path, encoding="utf-8")][1:120]
    lines += OWN * 4 + ["Mount [PART] on [PART2].", "too  good   food"] * 3
    expected = {}
    with tempfile.TemporaryDirectory() as scratch:
        text = pathlib.Path(scratch) / "text.txt"
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name in MODELS:
            train(name, text)
        unused("unigram_unused", "unigram_bytes")
        unused("bpe_unused", "bpe")
        for name in [*MODELS, "unigram_unused", "bpe_unused"]:
            sp = spm.SentencePieceProcessor(model_file=str(OUT / f"{name}.model"))
            rows = [(sp.encode(case), case) for case in CASES]
            odd = [[], [0], [1, 5, 0, 6, 2], list(range(0, min(sp.vocab_size(), 400), 7)), list(range(3, min(sp.vocab_size(), 300)))]
            expected[name] = {
                "encode": [{"text": case, "ids": ids, "decoded": sp.decode(ids)} for ids, case in rows],
                "decode": [{"ids": ids, "decoded": sp.decode(ids)} for ids in odd],
            }
        families(pathlib.Path(scratch), expected)
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=True, indent=0) + "\n")


SENTENCES = ["Check the pump before you start it.", "Prüfen Sie die Pumpe: 12,5 bar!", "Проверьте насос.", "日本 ☃☃ x"]


def families(scratch, expected):
    """Ids of transformers for folders in the layouts of M2M-100 and NLLB around the model `bpe`."""
    sp = spm.SentencePieceProcessor(model_file=str(OUT / "bpe.model"))
    m2m = OUT / "m2m100"
    m2m.mkdir(exist_ok=True)
    pieces = [sp.id_to_piece(i) for i in range(3, sp.vocab_size())]
    # As in the published file: another order than the model's, and a character that the model does not know.
    vocab = {t: i for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", *reversed(pieces), "☃☃"])}
    (m2m / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, indent=0))
    full = scratch / "m2m100"
    shutil.copytree(m2m, full)
    shutil.copy(OUT / "bpe.model", full / "sentencepiece.bpe.model")
    t = M2M100Tokenizer(str(full / "vocab.json"), str(full / "sentencepiece.bpe.model"), src_lang="en", tgt_lang="fr")
    expected["m2m100"] = {
        "en": t.get_lang_id("en"), "fr": t.get_lang_id("fr"), "zu": t.get_lang_id("zu"), "rows": len(t),
        "sentences": [{"text": s, "ids": t(s)["input_ids"], "labels": t(text_target=s)["input_ids"]} for s in SENTENCES],
    }
    languages = ["ces_Latn", "deu_Latn", "eng_Latn", "fra_Latn"]
    for legacy in [False, True]:
        full = scratch / f"nllb{legacy}"
        full.mkdir()
        shutil.copy(OUT / "bpe.model", full / "sentencepiece.bpe.model")
        config = {"tokenizer_class": "NllbTokenizer", "extra_special_tokens": languages, "legacy_behaviour": legacy}
        (full / "tokenizer_config.json").write_text(json.dumps(config))
        t = NllbTokenizer.from_pretrained(str(full), src_lang="eng_Latn", tgt_lang="fra_Latn")
        expected["nllb_legacy" if legacy else "nllb"] = {
            "pieces": [{"text": s, "tokens": t.convert_ids_to_tokens(t(s)["input_ids"])} for s in SENTENCES[:3]],
            "ids": {m: t.convert_tokens_to_ids(m) for m in ["<s>", "<pad>", "</s>", "<unk>", "▁", "e", "▁the"]},
        }


if __name__ == "__main__":
    main(sys.argv[1])
