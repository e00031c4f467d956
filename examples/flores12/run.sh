#!/bin/sh
# The whole experiment: train every method at every learning rate, choose on validation, score on devtest, print the tables.
#   sh run.sh                what is left to do, in order
#   sh run.sh train|choose|score|table   one step
# Every step goes on where it was stopped. ISOGLOSS names the program, OUT the folder of the results.
set -eu
cd "$(dirname "$0")"

isogloss=${ISOGLOSS:-isogloss}
out=${OUT:-../../runs/flores12}
base=../../models/mini
methods="full lora-total lora-active lslo-paper lslo-isogloss"
rates="0.0003 0.001 0.003"
high="eng_Latn deu_Latn fra_Latn ita_Latn"
medium="nld_Latn ces_Latn hun_Latn tur_Latn"
low="fur_Latn lij_Latn lmo_Latn ltg_Latn"
flores=data/flores200/devtest
help_text=data/lohelp/multiparallel.tsv.gz

say() { printf '%s\n' "$*" >&2; }

# A method's configuration at a learning rate. It lies beside the original: its relative paths start in this folder.
derive() { # method rate
    sed -e "s|^run = .*|run = \"$out/$1-$2\"|" -e "s|^learning_rate = .*|learning_rate = $2|" "$1.toml"
}

train() {
    for method in $methods; do
        for rate in $rates; do
            result=$out/$method-$rate/result.json
            if [ -f "$result" ]; then continue; fi
            say "training $method at $rate"
            config=grid.$method-$rate.toml
            derive "$method" "$rate" > "$config"
            mkdir -p "$out/$method-$rate"
            "$isogloss" train "$config" --json > "$result.tmp"
            if ! grep -q '"finished": true' "$result.tmp"; then
                say "stopped; the same command goes on"
                exit 1
            fi
            mv "$result.tmp" "$result"
        done
    done
}

score_of() { # result.json
    sed -n 's/^ *"validation_score": *\([-0-9.e]*\),*$/\1/p' "$1"
}

# The learning rate whose best epoch has the highest chrF++ on validation. A tie goes to the lower rate.
choose() {
    for method in $methods; do
        for rate in $rates; do
            result=$out/$method-$rate/result.json
            if [ ! -f "$result" ]; then
                say "$method at $rate is not trained yet"
                exit 1
            fi
            printf '%s %s %s\n' "$method" "$rate" "$(score_of "$result")"
        done
    done | awk '{ print > "/dev/stderr" }
        !($1 in best) || $3 > best[$1] { best[$1] = $3; rate[$1] = $2 }
        !seen[$1]++ { order[++n] = $1 }
        END { for (i = 1; i <= n; i++) print order[i], rate[order[i]] }' > "$out/chosen.tmp"
    mv "$out/chosen.tmp" "$out/chosen.txt"
}

# Text of one language of one test set: FLORES devtest, or the second domain's held-out rows.
text() { # set language other
    case $1 in
    domain)
        gzip -dc "$help_text" | awk -F '\t' -v want="$2" -v other="$3" '
            NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
            NR > 27001 && $at[want] != "" && $at[other] != "" { print $at[want] }'
        ;;
    *) gzip -dc "$flores/$2.txt.gz" ;;
    esac
}

# Translates and scores a direction, unless it is done.
direction() { # system set source target
    folder=$out/scores/$1/$2
    name=$3-$4
    if [ -f "$folder/$name.json" ]; then return; fi
    mkdir -p "$folder"
    text "$2" "$3" "$4" > "$folder/$name.source"
    text "$2" "$4" "$3" > "$folder/$name.reference"
    rate=$(awk -v method="$1" '$1 == method { print $2 }' "$out/chosen.txt")
    case $1 in
    base) set -- --model "$base" ;;
    full) set -- --model "$out/full-$rate/model" ;;
    *) set -- --model "$base" --adapters "$out/$1-$rate/adapters" --missing base ;;
    esac
    "$isogloss" translate "$@" --from "${name%-*}" --to "${name#*-}" --beam 5 \
        --input "$folder/$name.source" --output "$folder/$name.hypothesis"
    "$isogloss" score --hypotheses "$folder/$name.hypothesis" --references "$folder/$name.reference" \
        --metric chrf++,bleu --json > "$folder/$name.tmp"
    mv "$folder/$name.tmp" "$folder/$name.json"
}

score() {
    if [ ! -f "$out/chosen.txt" ]; then
        say "choose first: devtest is for the chosen learning rates alone"
        exit 1
    fi
    for system in base $methods; do
        say "scoring $system"
        for source in $high $medium $low; do
            for target in $high $medium $low; do
                if [ "$source" != "$target" ]; then direction "$system" flores "$source" "$target"; fi
            done
        done
        for set in harm domain; do
            while IFS=- read -r source target; do
                direction "$system" "$set" "$source" "$target"
            done < "$set-directions.txt"
        done
    done
}

# chrF++ of a direction.
chrf() { # json
    sed -n '/"metric": "chrf++"/,/}/s/^ *"score": *\([0-9.e-]*\),*$/\1/p' "$1"
}

class() {
    case " $high " in *" $1 "*) echo high; return ;; esac
    case " $medium " in *" $1 "*) echo medium; return ;; esac
    echo low
}

table() {
    for system in base $methods; do
        for set in flores harm domain; do
            for json in "$out/scores/$system/$set"/*.json; do
                if [ ! -f "$json" ]; then continue; fi
                name=$(basename "$json" .json)
                row=$set
                if [ $set = flores ]; then row="$(class "${name%-*}") to $(class "${name#*-}")"; fi
                printf '%s\t%s\t%s\n' "$row" "$system" "$(chrf "$json")"
            done
        done
    done | awk -F '\t' -v systems="base $methods" '
        { sum[$1, $2] += $3; count[$1, $2]++ }
        END {
            m = split(systems, name, " ")
            line = "| chrF++ |"; rule = "|---|"
            for (i = 1; i <= m; i++) { line = line " " name[i] " |"; rule = rule "---|" }
            print line; print rule
            k = split("high medium low", class, " ")
            for (i = 1; i <= k; i++) for (j = 1; j <= k; j++) row[++n] = class[i] " to " class[j]
            row[++n] = "harm"; row[++n] = "domain"
            for (r = 1; r <= n; r++) {
                line = "| " row[r] " |"
                for (i = 1; i <= m; i++) {
                    cell = count[row[r], name[i]]
                    line = line " " (cell ? sprintf("%.1f", sum[row[r], name[i]] / cell) : "not run yet") " |"
                }
                print line
            }
        }'
}

if [ ! -d data ]; then
    say "link or copy the folder of texts to examples/flores12/data (see README.md)"
    exit 2
fi
case ${1:-all} in
all) train; choose; score; table ;;
train | choose | score | table) "$1" ;;
*) say "unknown step $1"; exit 2 ;;
esac
