#!/usr/bin/env bash
# Writes docs/proof.md: which promise held under which fault, shown by which test, how often. It is made from what the tests say of
# themselves, lines of the form
#
#   proof: <promise> | <fault> | <test> | <count>
#
# which cargo shows with --nocapture or --show-output:
#
#   cargo test --no-fail-fast -- --show-output 2>&1 | scripts/proof.sh
#   scripts/proof.sh FILE…                    the output of runs, kept in files
#
# Counts of the same promise, fault and test are added up. The same lines in any order give the same page. A run in which a test failed
# is no proof and writes nothing.
set -euo pipefail
page="${PROOF_PAGE:-$(cd "$(dirname "$0")/.." && pwd)/docs/proof.md}"

output="$(cat -- "$@")"
if grep -qE '^test .* \.\.\. FAILED|^test result: FAILED' <<<"$output"; then
  echo "a test failed; $page stays as it is" >&2
  exit 1
fi
# The harness may have written the beginning of its own line before the test's.
lines="$(grep -oE 'proof: .*' <<<"$output" || true)"
if [ -z "$lines" ]; then
  echo "there is no line of proof in it: were the tests run with --show-output?" >&2
  exit 1
fi

# Bytes, not the machine's language, decide the order.
export LC_ALL=C
table="$(awk -F' *[|] *' '
  { sub(/^proof: */, ""); sub(/ *$/, "") }
  NF != 4 { print "not a line of proof: " $0 > "/dev/stderr"; wrong = 1; next }
  {
    gsub(/`/, "", $3)
    # A number may have words behind it, "2000 entries"; the same words are added up. Words without a number stand for themselves.
    number = $4; words = $4
    if (sub(/[^0-9].*/, "", number) + 0 || $4 ~ /^[0-9]+$/) sub(/^[0-9]+ */, "", words)
    key = $1 "\t" $2 "\t" $3 "\t" words
    counts[key] += number
    numbered[key] = number != ""
  }
  END { if (wrong) exit 1; for (key in counts) printf "%s\t%s\n", key, numbered[key] ? counts[key] : "" }
' <<<"$lines" | sort)"

{
  cat <<'PAGE'
# What was tried, and how often

Each promise, the faults it was put to, the test that did it, and how many times, over all runs that the page was made from. Written by `scripts/proof.sh` from the tests' own
output; a run in which any test failed writes nothing.
PAGE
  awk -F'\t' '
    $1 != promise {
      promise = $1
      printf "\n## %s%s\n\n| fault | test | count |\n|---|---|---:|\n", toupper(substr(promise, 1, 1)), substr(promise, 2)
    }
    { printf "| %s | `%s` | %s |\n", $2, $3, $5 == "" ? $4 : $4 == "" ? $5 : $5 " " $4 }
  ' <<<"$table"
  awk -F'\t' '
    { tests[$3] = 1; promises[$1] = 1; faults[$1, $2] = 1 }
    END {
      t = p = f = 0
      for (x in tests) t++; for (x in promises) p++; for (x in faults) f++
      printf "\n%d promises under %d faults in %d tests; each held every time.\n", p, f, t
    }
  ' <<<"$table"
} >"$page.tmp"
mv "$page.tmp" "$page"
echo "wrote $page" >&2
