#!/usr/bin/env bash
# Opens pages of `isogloss report` in headless Chromium, in both themes and three widths: no message on the console, nothing wider than
# the window, nothing loaded, nothing that axe-core finds. Needs Chromium, Node.js and npm, which fetches two packages the first time.
#   scripts/check_report.sh report-en.html report-ja.html
#   SCREENSHOTS=folder scripts/check_report.sh report-en.html
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { echo "usage: $0 PAGE.html..." >&2; exit 2; }
modules=${CHECK_REPORT_MODULES:-$here/../target/check-report}
if [ ! -d "$modules/node_modules/axe-core" ] || [ ! -d "$modules/node_modules/puppeteer-core" ]; then
    mkdir -p "$modules"
    npm install --silent --no-audit --no-fund --prefix "$modules" puppeteer-core@24 axe-core@4 >&2
fi
exec node "$here/check_report.mjs" "$modules" "$@"
