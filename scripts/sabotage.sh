#!/usr/bin/env bash
# Breaks one promise after another and wants a test to notice each: the suite itself is tested.
# Prints a line for each that a table can be made of: proof: <promise> | <sabotage> | <the test that noticed> | 1
# Arguments are the names of sabotages to try; without any, all are.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

# What is broken | where the test is that must notice: lib or the name of a test target | which tests there
list='
SkipTheLogsSync|simulation|writing::an_import_may_be_cut_off
AcknowledgeAFailedSync|simulation|faults::any_operation_may_fail
SkipTheSegmentsDirectory|simulation|writing::a_roll_to_the_next_segment
SkipTheDirectoriesAbove|simulation|writing::a_first_start
BelieveWhatNobodySynced|simulation|writing::a_roll_to_the_next_segment
LeaveHalfAFrame|lib|log::tests
GoOnAfterAFailedSync|simulation|faults::any_operation_may_fail
SkipTheChain|lib|log::tests
CutWhatWasVouchedFor|lib|log::tests
CutWhatTheStoreApplied|lib|log::tests
CutAfterOneBadRead|simulation|faults::a_start_that_reads_wrongly
SkipTheStateChecksum|registry|starting::nothing_of_a_frame
PublishHalfAFrame|simulation|writing::an_import_may_be_cut_off
LeaveAMovedRow|simulation|writing::an_import_may_be_cut_off
ForgetAKey|simulation|writing::an_import_may_be_cut_off
AnswerFromAWithdrawnRow|simulation|writing::an_import_may_be_cut_off
ForgetAWithdrawal|simulation|walking
BelieveTheStore|simulation|faults::a_store_that_lacks
BelieveTheImage|lib|registry::image::tests
BelieveTheSnapshot|registry|snapshots
NameAnUnsyncedSnapshot|simulation|snapshots::a_snapshot_may_be_cut_off
SkipReadingTheCopy|simulation|restoring::a_restore_that_reads_wrongly
TrimTooFar|simulation|trimming::a_trimmed_log
AppendAheadOfTheSync|simulation|following::following_frame_by_frame
LeaveWhatDiverged|simulation|following::a_frame_that_diverges
HandOnWhatIsNotAcknowledged|registry|publishing::bytes_behind
FollowBeforeTheLog|simulation|following::following_frame_by_frame
BelieveAnySignature|sync|refusing::a_forged_checkpoint
TakeWhatLeadsElsewhere|sync|refusing::truncated_swapped
ForgetWhatWasSigned|sync|refusing::an_old_checkpoint
SkipTheSignedState|sync|refusing::a_state_that_is_not
PassOnWhatIsNotApplied|sync|taking::what_a_relay_passes_on
BelieveAnyMessage|lib|sync::jetstream::message::tests
AcknowledgeBeforeApplying|broker|acknowledging
SkipTheAuditsSync|lib|audit::tests::crashing
SkipTheAuditsChain|lib|audit::tests::tampering
'

# The promise in words is the sabotage's own line in the source.
words_of() {
  grep -B1 "^    $1,\$" src/sabotage.rs | sed -n 's|^    /// \(.*\)\.$|\1|p'
}

cargo test --locked --features sabotage --no-run --message-format=json --lib --test simulation --test registry --test sync --test broker \
  2>/dev/null >"${TMPDIR:-/tmp}/sabotage-$$.json" || {
  echo "the build with the switches failed; build it by hand: cargo test --features sabotage --no-run"
  exit 1
}
trap 'rm -f "${TMPDIR:-/tmp}/sabotage-$$.json"' EXIT

# The test program of a target, as cargo said it. The program itself has the library's name, and is built beside it: the kind tells them apart.
program_of() {
  local target="$1" kind=test
  [ "$target" = lib ] && target=shikaku kind=lib
  grep '"executable":"' "${TMPDIR:-/tmp}/sabotage-$$.json" | grep "\"kind\":\[\"$kind\"\]" | grep "\"name\":\"$target\"" \
    | sed -n 's|.*"executable":"\([^"]*\)".*|\1|p' | tail -1
}

missed=0
tried=0
for line in $list; do
  IFS='|' read -r name target tests <<<"$line"
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  if [ "$target" = broker ] && ! command -v nats-server >/dev/null; then
    echo "skipped: $name: nats-server is not installed (scripts/nats.sh installs it)"
    continue
  fi
  tried=$((tried + 1))
  program="$(program_of "$target")"
  output="$(SHIKAKU_SABOTAGE="$name" timeout 300 "$program" "$tests" 2>&1 || true)"
  noticed="$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' <<<"$output" | head -1)"
  if [ -n "$noticed" ]; then
    echo "proof: the suite notices a broken promise | $(words_of "$name") ($name) | $noticed | 1"
  else
    echo "MISSED: $name: no test of '$tests' in '$target' failed"
    missed=$((missed + 1))
  fi
done
echo "$tried sabotages, $missed missed"
[ "$missed" = 0 ]
