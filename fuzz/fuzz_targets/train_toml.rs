#![no_main]

isogloss_fuzz::target!(train_toml);
