#!/bin/sh
# The whole experiment: train every method at every learning rate, choose on validation, score on devtest, print the tables.
#   sh run.sh                what is left to do, in order
#   sh run.sh train|choose|score|table   one step
# Every step goes on where it was stopped. ISOGLOSS names the program, OUT the folder of the results.
# REDUCED=1 runs the reduced protocol of README.md: less training, fewer directions, fewer sentences.
set -eu
cd "$(dirname "$0")"

isogloss=${ISOGLOSS:-isogloss}
reduced=${REDUCED:-}
out=${OUT:-../../runs/flores12${reduced:+-reduced}}
base=../../models/mini
methods="full lora-total lora-active lslo-paper lslo-isogloss"
systems="copy base $methods"
rates="0.0003 0.001 0.003"
if [ "$reduced" ]; then rates="0.001 0.003"; fi
high="eng_Latn deu_Latn fra_Latn ita_Latn"
medium="nld_Latn ces_Latn hun_Latn tur_Latn"
low="fur_Latn lij_Latn lmo_Latn ltg_Latn"
domain="eng_Latn deu_Latn fra_Latn ita_Latn nld_Latn ces_Latn hun_Latn tur_Latn"

say() { printf '%s\n' "$*" >&2; }

# A method's configuration at a learning rate. It lies beside the original: its relative paths start in this folder.
derive() { # method rate
    sed -e "s|^run = .*|run = \"$out/$1-$2\"|" -e "s|^learning_rate = .*|learning_rate = $2|" \
        ${reduced:+-e "s|^epochs = .*|epochs = 3|" -e "s|pairs_per_epoch = [0-9]*|pairs_per_epoch = 3000|" \
        -e "s|^warmup = .*|warmup = 30|" -e "s|^translate = .*|translate = 20|"} "$1.toml"
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

# The second domain's held-out rows that every language has, a file a language.
domain_text() {
    if [ -d "$out/domain" ]; then return; fi
    mkdir -p "$out/domain.tmp"
    gzip -dc data/lohelp/multiparallel.tsv.gz | awk -F '\t' -v wanted="$domain" -v folder="$out/domain.tmp" '
        NR == 1 {
            for (i = 1; i <= NF; i++) at[$i] = i
            n = split(wanted, language, " ")
        }
        NR > 27001 {
            for (i = 1; i <= n; i++) if ($at[language[i]] == "") next
            for (i = 1; i <= n; i++) print $at[language[i]] > (folder "/" language[i] ".txt")
        }'
    mv "$out/domain.tmp" "$out/domain"
}

commas() { echo "$@" | tr ' ' ','; }

# Translates and scores a test set, unless it is done: system, set, then what evaluate wants to know about the text.
evaluate() {
    system=$1
    file=$out/scores/$1/$2.json
    shift 2
    if [ -f "$file" ]; then return; fi
    rate=$(awk -v method="$system" '$1 == method { print $2 }' "$out/chosen.txt")
    case $system in
    copy) set -- "$@" --system copy ;;
    base) set -- "$@" --model "$base" ;;
    full) set -- "$@" --model "$out/full-$rate/model" ;;
    *) set -- "$@" --model "$base" --adapters "$out/$system-$rate/adapters" --missing base ;;
    esac
    mkdir -p "$out/scores/$system"
    say "scoring $file"
    "$isogloss" evaluate "$@" --metric chrf++,bleu --beam 5 --out "$file" > "${file%.json}.txt"
}

score() {
    if [ ! -f "$out/chosen.txt" ]; then
        say "choose first: devtest is for the chosen learning rates alone"
        exit 1
    fi
    domain_text
    if [ "$reduced" ]; then
        among="--directions $(commas $(cat reduced-directions.txt))"
        rows="--rows 1-50"
    else
        among="--languages $(commas $high $medium $low)"
        rows=
    fi
    for system in $systems; do
        evaluate "$system" flores --data data/flores200/devtest $among $rows \
            --class "high=$(commas $high)" --class "medium=$(commas $medium)" --class "low=$(commas $low)"
        evaluate "$system" harm --data data/flores200/devtest --directions "$(commas $(cat harm-directions.txt))" $rows
        evaluate "$system" domain --data "$out/domain" --directions "$(commas $(cat domain-directions.txt))" $rows
    done
}

# Mean chrF++ of a file of scores: a line for each pair of classes, or one for all directions.
means() { # system set file
    awk -v name="$1" -v set="$2" -F '[:,] *' '
        /^  "mean"/ { part = "mean" }
        /^  "classes"/ { part = "classes" }
        { gsub(/["\r]/, ""); sub(/^ */, "") }
        $1 == "source" { source = $2 }
        $1 == "target" { target = $2 }
        $1 == "metric" { metric = $2 }
        $1 == "score" && metric == "chrf++" {
            if (set == "flores" && part == "classes") printf "%s\t%s to %s\t%s\n", name, source, target, $2
            if (set != "flores" && part == "mean") printf "%s\t%s\t%s\n", name, set, $2
        }' "$3"
}

table() {
    for system in $systems; do
        for set in flores harm domain; do
            file=$out/scores/$system/$set.json
            if [ -f "$file" ]; then means "$system" "$set" "$file"; fi
        done
    done | awk -F '\t' -v systems="$systems" '
        { mean[$2, $1] = sprintf("%.1f", $3) }
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
                    line = line " " ((row[r], name[i]) in mean ? mean[row[r], name[i]] : "not run yet") " |"
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
