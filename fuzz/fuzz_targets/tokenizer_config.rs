#![no_main]

isogloss_fuzz::target!(tokenizer_config);
