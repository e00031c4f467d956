#![no_main]

isogloss_fuzz::target!(vocab_json);
