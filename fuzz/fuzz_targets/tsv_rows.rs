#![no_main]

isogloss_fuzz::target!(tsv_rows);
