#![no_main]

isogloss_fuzz::target!(model_config);
