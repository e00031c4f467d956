#![no_main]

isogloss_fuzz::target!(pretrain_toml);
