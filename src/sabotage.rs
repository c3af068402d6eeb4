//! Promises broken on purpose, so that the tests can be tested.
//!
//! A build with the feature `sabotage` breaks the one promise that `SHIKAKU_SABOTAGE` names; `scripts/sabotage.sh` tries all of them
//! and wants at least one test to fail each time. Any other build knows nothing of it: the question is answered by the compiler.

/// A promise that can be broken, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A frame is acknowledged without a sync.
    SkipTheLogsSync,
    /// A frame is acknowledged though its sync failed.
    AcknowledgeAFailedSync,
    /// A segment's name is not made durable.
    SkipTheSegmentsDirectory,
    /// The names of the directories above a new log are not made durable.
    SkipTheDirectoriesAbove,
    /// A start believes a last segment that nobody synced.
    BelieveWhatNobodySynced,
    /// A frame that a full disk took in part is left where it is.
    LeaveHalfAFrame,
    /// The writer goes on after a sync that failed.
    GoOnAfterAFailedSync,
    /// Segments need not continue the chain of the one before.
    SkipTheChain,
    /// Whatever cannot be read at the end is cut, though a later frame vouches for it.
    CutWhatWasVouchedFor,
    /// Whatever cannot be read at the end is cut, though the store has applied it.
    CutWhatTheStoreApplied,
    /// A frame that was read wrongly once is cut.
    CutAfterOneBadRead,
    /// A replayed frame need not lead to the state that it carries.
    SkipTheStateChecksum,
    /// Only the first dossier of a frame is published.
    PublishHalfAFrame,
    /// A row that moves stays in the dossier that it leaves.
    LeaveAMovedRow,
    /// A dossier that gets a new version loses a key.
    ForgetAKey,
    /// A withdrawn row stays in memory.
    AnswerFromAWithdrawnRow,
    /// A withdrawal leaves nothing in the history.
    ForgetAWithdrawal,
    /// A store is believed though it does not add up.
    BelieveTheStore,
    /// An image is believed though its parts do not match their checksums.
    BelieveTheImage,
    /// A snapshot is believed though its hash does not match.
    BelieveTheSnapshot,
    /// A snapshot gets its name before it is synced.
    NameAnUnsyncedSnapshot,
    /// A restored copy is not read back.
    SkipReadingTheCopy,
    /// Segments are trimmed that no snapshot covers.
    TrimTooFar,
    /// Followed frames come into the log before what they call durable is.
    AppendAheadOfTheSync,
    /// A followed frame that diverges stays in the log.
    LeaveWhatDiverged,
    /// The log is handed on as far as it is written.
    HandOnWhatIsNotAcknowledged,
    /// A directory that is to follow gets its name before its log is begun.
    FollowBeforeTheLog,
    /// Whatever is signed is believed, whoever signed it.
    BelieveAnySignature,
    /// Frames are taken though they do not arrive at the signed chain.
    TakeWhatLeadsElsewhere,
    /// A checkpoint that ends before one seen earlier is accepted.
    ForgetWhatWasSigned,
    /// The state after a checkpoint's last frame is not compared with the signed one.
    SkipTheSignedState,
    /// A relay passes on what it has not applied.
    PassOnWhatIsNotApplied,
    /// A broker's message is believed, whoever signed it.
    BelieveAnyMessage,
    /// A message is acknowledged to the broker before its frame is applied.
    AcknowledgeBeforeApplying,
    /// A look-up counts as kept in the audit without a sync.
    SkipTheAuditsSync,
    /// Blocks of the audit need not continue the chain.
    SkipTheAuditsChain,
}

/// Whether this promise is to be broken.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub(crate) const fn sabotaged(_: Sabotage) -> bool {
    false
}

/// Whether this promise is to be broken.
#[cfg(feature = "sabotage")]
pub(crate) fn sabotaged(sabotage: Sabotage) -> bool {
    static NAMED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let named = NAMED.get_or_init(|| std::env::var("SHIKAKU_SABOTAGE").ok());
    named.as_ref().is_some_and(|named| *named == format!("{sabotage:?}"))
}

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("sabotage is for test builds only");
