#![no_main]

isogloss_fuzz::target!(adapter_weights);
