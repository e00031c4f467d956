#![no_main]

isogloss_fuzz::target!(compact_adapters_json);
