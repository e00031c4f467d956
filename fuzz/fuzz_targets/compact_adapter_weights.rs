#![no_main]

isogloss_fuzz::target!(compact_adapter_weights);
