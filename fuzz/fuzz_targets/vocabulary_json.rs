#![no_main]

isogloss_fuzz::target!(vocabulary_json);
