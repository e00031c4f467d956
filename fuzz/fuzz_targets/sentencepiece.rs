#![no_main]

isogloss_fuzz::target!(sentencepiece);
