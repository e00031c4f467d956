#![no_main]

isogloss_fuzz::target!(adapters_json);
