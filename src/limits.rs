//! Every limit of the appliance, its unit in its name. Reaching one is a clear error, never a slow death.

/// Connections the fast listener serves at once. Each holds a coroutine's stack (about 9 KiB of it touched) before its first byte, and
/// 68 KiB of buffers as they are used; an allocator that asks for huge pages makes all of it resident at once.
pub const LISTENER_CONNECTIONS_MAX: usize = 256;

/// Slots beyond the cap for connections that were told to go and have not yet gone.
pub const LISTENER_LEAVING_MAX: usize = 128;

/// Connections that are being said goodbye to: their last answer written, what the peer still sends thrown away.
pub const LISTENER_FAREWELLS_MAX: usize = 256;

/// Descriptors that connections leave to the rest: a new one that would come into them is cut off. The engine cannot accept, and tries for
/// ever without letting anybody else run, when there is none at all.
pub const LISTENER_DESCRIPTORS_LEFT: usize = 32;

/// What a connection may have sent without completing a request head. It covers the kernel's receive buffer, because what stands there
/// unread is counted too.
pub const LISTENER_UNPARSED_BYTES_MAX: u64 = 128 * 1024;

/// What is asked of the kernel as a connection's receive buffer (it doubles the figure). A peer that outruns the engine has to wait for
/// it every few kilobytes, and that is what lets the sweeper keep up: two endless headers grew the process by 93 MB with 64 KiB here, and
/// by 17 MB with 16 KiB. A burst of 64 pipelined look-ups is about 20 KiB: with 16 KiB it came in two pieces and a quarter of the
/// throughput was lost. The price is paid by large bodies from afar: one buffer a round trip.
pub const LISTENER_RECEIVE_BUFFER_BYTES: usize = 24 * 1024;

/// The path, query and headers of one request that the service looks at.
pub const LISTENER_HEAD_BYTES_MAX: usize = 16 * 1024;

/// A request body. Larger ones are answered with 413.
pub const LISTENER_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Answers that the peer has not acknowledged, looked at before each answer: one more answer may stand on top.
pub const LISTENER_UNREAD_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Everything held for all connections together: unparsed requests, bodies on their way, unread answers. The worst offender goes first.
pub const LISTENER_HELD_BYTES_TOTAL_MAX: u64 = 16 * 1024 * 1024;

/// An answer above this ends its connection, because `may_minihttp` keeps a connection's buffers at their largest.
pub const LISTENER_LAST_ANSWER_BYTES: usize = 1024 * 1024;

/// An answer above this is counted into what its connection keeps in grown buffers.
pub const LISTENER_RETAINED_BYTES_MIN: usize = 64 * 1024;

/// Grown buffers of all connections together; above it a large answer ends its connection.
pub const LISTENER_RETAINED_BYTES_TOTAL_MAX: u64 = 16 * 1024 * 1024;

/// A body longer than this gives its memory back when it has been answered.
pub const LISTENER_SCRATCH_KEPT_BYTES: usize = 16 * 1024;

/// A connection without traffic.
pub const LISTENER_IDLE_TIMEOUT_MS: u64 = 60_000;

/// A new connection that sends nothing at all.
pub const LISTENER_FIRST_BYTE_TIMEOUT_MS: u64 = 10_000;

/// From the first byte of a request head to its last.
pub const LISTENER_HEAD_TIMEOUT_MS: u64 = 5_000;

/// From the end of the head to the last byte of the body.
pub const LISTENER_BODY_TIMEOUT_MS: u64 = 10_000;

/// An answer of which the peer acknowledges nothing more.
pub const LISTENER_UNREAD_TIMEOUT_MS: u64 = 10_000;

/// After a refused request: what is read and thrown away so that the client can read why.
pub const LISTENER_DRAIN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// After a refused request: how long that goes on.
pub const LISTENER_DRAIN_TIMEOUT_MS: u64 = 1_000;

/// A connection that never asked anything may be displaced at the cap at any age; one that did, after this long without traffic.
pub const LISTENER_DISPLACE_IDLE_MS: u64 = 1_000;

/// Ordered stop: how long requests under way may take.
pub const LISTENER_STOP_TIMEOUT_MS: u64 = 3_000;

/// Between two looks at the connections that are in the middle of something.
pub const LISTENER_SWEEP_MS: u64 = 1;

/// Between two looks at all connections.
pub const LISTENER_SWEEP_ALL_MS: u64 = 10;

/// Connections accepted in a row before the acceptor lets others run.
pub const LISTENER_ACCEPTS_IN_A_ROW: u32 = 16;

const _: () = assert!(LISTENER_UNPARSED_BYTES_MAX > 2 * LISTENER_RECEIVE_BUFFER_BYTES as u64);
const _: () = assert!(LISTENER_HELD_BYTES_TOTAL_MAX > 2 * LISTENER_UNREAD_BYTES_MAX);
const _: () = assert!(LISTENER_SWEEP_ALL_MS >= LISTENER_SWEEP_MS);
/// One record of a registration file, with its line end. The widest well-formed record is under 4 KiB; what is longer has most
/// likely lost a closing quote, and reading on would only gather the rest of the file in memory.
pub const INGEST_RECORD_BYTES_MAX: usize = 64 * 1024;

/// How much of a registration file is read at a time. A chunk ends on a record's end, so it may exceed this by one record. What a chunk
/// registers is appended and synced before the next, and this much comes to one frame that is nearly full: an archived row is about
/// an eighth longer than its line.
pub const INGEST_CHUNK_BYTES: usize = 720 * 1024;

/// Chunks that may be read but not yet taken by the ordered consumer, for each worker.
pub const INGEST_CHUNKS_IN_FLIGHT_PER_WORKER: usize = 3;

/// Columns of a header that are looked at before it is called no header at all.
pub const INGEST_HEADER_COLUMNS_MAX: usize = 256;

const _: () = assert!(INGEST_RECORD_BYTES_MAX <= INGEST_CHUNK_BYTES);

/// The body of a batch.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Lines of a batch.
pub const BATCH_LINES_MAX: usize = 10_000;

/// The answer to a batch.
pub const BATCH_ANSWER_BYTES_MAX: usize = 8 << 20;

/// A payload of changes through the control socket.
pub const CONTROL_BODY_BYTES_MAX: usize = 16 << 20;

const _: () = assert!(BATCH_BYTES_MAX <= LISTENER_BODY_BYTES_MAX);

/// Room on the disk without which nothing is registered. The store still has to write what the log has acknowledged (a queue of 64 MiB), and
/// the audit what was looked up (32 MiB): they must not be the ones to find the disk full.
pub const DISK_ROOM_BYTES_MIN: u64 = 128 << 20;

/// How long the store's engine may take to open it, seconds. It reads where its pages lie, a second at ten million recipients, and has the
/// system write out what any program has written, which takes a slow disk a while.
pub const STORE_OPEN_S_MAX: u64 = 600;

/// The image of the memory is kept from this many bytes of dossiers on: below, the store is read as quickly.
pub const IMAGE_FROM_BYTES: u64 = 256 << 20;

/// The image is written when nothing was registered for this long.
pub const IMAGE_IDLE_S: u64 = 10;

/// The image is written anew when it is this many frames behind: fewer are replayed in a moment.
pub const IMAGE_FRAMES_BEHIND: u64 = 32;
/// The pause between two checks of the log's older segments. Each check reads them all: without a pause the disk would never rest.
pub const SCRUB_PAUSE_S_MIN: u64 = 1;

/// A longer pause is no check any more.
pub const SCRUB_PAUSE_S_MAX: u64 = 366 * 24 * 3600;

/// The pause when the configuration does not say.
pub const SCRUB_PAUSE_S_DEFAULT: u64 = 3600;

const _: () = assert!(SCRUB_PAUSE_S_MIN > 0 && SCRUB_PAUSE_S_MIN <= SCRUB_PAUSE_S_DEFAULT);
const _: () = assert!(SCRUB_PAUSE_S_DEFAULT <= SCRUB_PAUSE_S_MAX);

/// Snapshots that the server keeps, when the configuration does not say. Each is about as large as the store.
pub const SNAPSHOTS_KEPT: usize = 3;

/// The log lets go of nothing that only one snapshot covers: the newest may turn out damaged when it is needed.
pub const SNAPSHOTS_KEPT_MIN: usize = 2;

/// More are an archive, which belongs on another machine.
pub const SNAPSHOTS_KEPT_MAX: usize = 1_000;

/// When the daily snapshot is taken, minutes after midnight in Japan, when the configuration does not say: at two, when nobody registers
/// and the day's files have not yet come.
pub const SNAPSHOT_AT_MINUTES: u32 = 2 * 60;

/// A snapshot more often than this would never leave the disk alone.
pub const SNAPSHOT_EVERY_S_MIN: u64 = 1;

/// Seldomer is no backup any more.
pub const SNAPSHOT_EVERY_S_MAX: u64 = 31 * 24 * 3600;

/// After a snapshot could not be taken, until it is tried again.
pub const SNAPSHOT_RETRY_S: u64 = 600;

/// Between two looks at whether a snapshot is due.
pub const SNAPSHOT_LOOK_MS: u64 = 500;

/// How long frames stay in the log though snapshots cover them, when the configuration does not say.
pub const LOG_RETENTION_DAYS: u32 = 90;

/// The longest that may be asked for.
pub const LOG_RETENTION_DAYS_MAX: u32 = 36_500;

/// On an ordered stop, how long the snapshot under way may take; what is left of it is removed by the next round.
pub const SNAPSHOT_STOP_TIMEOUT_MS: u64 = 2_000;

const _: () = assert!(SNAPSHOTS_KEPT_MIN >= 2 && SNAPSHOTS_KEPT_MIN <= SNAPSHOTS_KEPT && SNAPSHOTS_KEPT <= SNAPSHOTS_KEPT_MAX);
const _: () = assert!(SNAPSHOT_EVERY_S_MIN <= SNAPSHOT_EVERY_S_MAX && SNAPSHOT_AT_MINUTES < 24 * 60);
const _: () = assert!(LOG_RETENTION_DAYS <= LOG_RETENTION_DAYS_MAX);

/// Files whose records memory holds, about 250 bytes each: years of an ordinary register's. The older half is then left to the store's
/// ledger, which is asked about any file that memory does not know.
pub const FILES_REMEMBERED_MAX: usize = 8192;

const _: () = assert!(FILES_REMEMBERED_MAX >= 2);

/// Words of eight bytes in each ring through which look-ups reach the audit: five for a look-up, so 50,000 look-ups.
pub const AUDIT_RING_WORDS: usize = 1 << 18;

/// Rings: threads spread over them, so that two workers do not write to one cache line. 8 MiB together.
pub const AUDIT_RINGS: usize = 4;

/// Lines of a batch that reach the audit as one piece.
pub const AUDIT_BATCH_LINES_MAX: usize = 512;

/// What one block of the audit is filled to.
pub const AUDIT_BLOCK_BYTES_MAX: usize = 256 * 1024;

/// Blocks that wait for the disk, 32 MiB: when they are full, the rings fill, and then look-ups wait or are refused.
pub const AUDIT_BLOCKS_QUEUED_MAX: usize = 128;

/// A segment of the audit is sealed when the next block would make it larger.
pub const AUDIT_SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Between two looks at empty rings.
pub const AUDIT_POLL_MS: u64 = 5;

/// How long an entry may wait for others to share a block with.
pub const AUDIT_FLUSH_MS: u64 = 250;

/// Between two syncs of the audit, when the configuration does not say.
pub const AUDIT_SYNC_MS: u64 = 1_000;

/// Between two times that the audit writes down how far it is durable.
pub const AUDIT_STATE_MS: u64 = 60_000;

/// Between two attempts to write to a full disk.
pub const AUDIT_SPACE_RETRY_MS: u64 = 1_000;

/// How long the audit is kept, when the configuration does not say: five years.
pub const AUDIT_RETENTION_DAYS: u32 = 1_827;

/// Between two attempts of a look-up that waits for the audit.
pub const AUDIT_WAIT_STEP_US: u64 = 200;

/// How long a look-up waits for the audit before it is refused.
pub const AUDIT_WAIT_MS_MAX: u64 = 2_000;

/// Pseudonyms that `audit review` counts institutions for; about 60 bytes each.
pub const AUDIT_REVIEW_PEOPLE_MAX: usize = 4_000_000;

/// What is read of a segment of the log at once, for those who follow.
pub const SEGMENT_READ_BYTES_MAX: u64 = 8 << 20;

/// Frames that a directory that follows appends to its log at once.
pub const FOLLOWED_RUN_BYTES_MAX: usize = 8 << 20;

/// Misses of one token in a minute, when the configuration does not say.
pub const MISSES_PER_MINUTE_MAX: u32 = 600;

/// Tokens whose misses are counted at once; eight bytes each.
pub const MISSES_TOKENS_MAX: usize = 4_096;

const _: () = assert!(AUDIT_RING_WORDS.is_power_of_two() && MISSES_TOKENS_MAX.is_power_of_two());
const _: () = assert!(AUDIT_RING_WORDS > 16 * AUDIT_BATCH_LINES_MAX * 2);
const _: () = assert!(AUDIT_BATCH_LINES_MAX <= BATCH_LINES_MAX && BATCH_LINES_MAX <= u16::MAX as usize);

/// Segments that a checkpoint tells of, 40 bytes each: sixteen tebibytes of log.
pub const CHECKPOINT_SEGMENTS_MAX: usize = 1 << 16;

/// A checkpoint is signed anew when it is this old, though the log stands still: its time is how followers know that the hub lives.
pub const CHECKPOINT_RENEW_MS: u64 = 10_000;

/// The longest that a follower may ask a checkpoint to be waited for, seconds.
pub const CHECKPOINT_WAIT_S_MAX: u64 = 30;

/// Frames that wait in the spool for a signed place. Two places lie at most a segment apart.
pub const SPOOL_BYTES_MAX: u64 = 512 << 20;

/// What of them is held in memory; the rest lies in a file.
pub const SPOOL_MEMORY_BYTES: usize = FOLLOWED_RUN_BYTES_MAX;

/// Places of earlier checkpoints that a follower which is behind is to pass through, 40 bytes each.
pub const INTAKE_EARLIER_PLACES_MAX: usize = 1 << 10;

const _: () = assert!(SPOOL_BYTES_MAX > crate::log::SEGMENT_BYTES_MAX + crate::log::FRAME_BYTES_MAX as u64);

/// A piece of a segment or a snapshot on its way: what publishing holds of a file for each request.
pub const SYNC_PIECE_BYTES: usize = 256 << 10;

/// A connection to the hub, TLS included.
pub const FOLLOW_CONNECT_TIMEOUT_MS: u64 = 10_000;

/// An answer of which nothing more comes. A checkpoint may be waited for longer.
pub const FOLLOW_IDLE_TIMEOUT_MS: u64 = 20_000;

/// How long the hub is asked to wait for the next checkpoint, seconds. An operator's word, and a stop, wait no longer than this for the
/// line to be left.
pub const FOLLOW_WAIT_S: u64 = 20;

/// The first pause after something failed; each failure in a row doubles it.
pub const FOLLOW_RETRY_MS_MIN: u64 = 200;

/// The longest pause.
pub const FOLLOW_RETRY_MS_MAX: u64 = 30_000;

/// How often in a row bytes may lead elsewhere than to the signed chain before the two logs are held to have parted.
pub const FOLLOW_STRIKES_MAX: u32 = 3;

/// Without word from the hub for so long, it is called unreachable.
pub const FOLLOW_SILENCE_MS_MAX: u64 = 60_000;

/// A source that answers, and brings nothing that the hub signed within so long, counts as a hub that is unreachable: hubs sign anew every
/// few seconds, and so much more is left for relays between, for brokers, and for clocks that differ.
pub const FOLLOW_SIGNED_AGE_MS_MAX: u64 = 5 * 60_000;

/// Between two questions to a source that answers at once and brings nothing newer.
pub const FOLLOW_REST_MS: u64 = 1_000;

/// The share of a processor that applying may take, percent, when the configuration does not say.
pub const FOLLOW_SHARE_PERCENT: u32 = 50;

/// Between two looks at whether a relay's own followers could begin.
pub const RELAY_SNAPSHOT_LOOK_MS: u64 = 30_000;

/// Between two times that the newest checkpoint is written down.
pub const FOLLOW_REMEMBER_MS: u64 = 1_000;

/// By how much the hub may have signed the own frames later than the checkpoint that is written down. Over a broker the checkpoints are
/// farther apart.
pub const FOLLOW_UNREMEMBERED_MS_MAX: u64 = 2 * BROKER_CHECKPOINT_S * 1000;

const _: () = assert!(FOLLOW_WAIT_S <= CHECKPOINT_WAIT_S_MAX && FOLLOW_RETRY_MS_MIN < FOLLOW_RETRY_MS_MAX);
const _: () = assert!(FOLLOW_SILENCE_MS_MAX > FOLLOW_WAIT_S * 1000 && FOLLOW_SILENCE_MS_MAX > CHECKPOINT_RENEW_MS);
const _: () =
    assert!(FOLLOW_SIGNED_AGE_MS_MAX > 4 * BROKER_CHECKPOINT_S * 1000 && FOLLOW_SIGNED_AGE_MS_MAX > FOLLOW_SILENCE_MS_MAX);
/// Connections over TLS at once. Each holds about 50 KiB while it is idle.
pub const API_CONNECTIONS_MAX: usize = 256;

/// The most that may be asked for.
pub const API_CONNECTIONS_MOST: usize = 10_000;

/// Handshakes at once, beside the connections: who has not yet shown a certificate takes no place from those who have.
pub const API_HANDSHAKES_MAX: usize = 64;

/// From the connection to the end of its handshake.
pub const API_HANDSHAKE_TIMEOUT_MS: u64 = 5_000;

/// From the moment a connection waits for a request to the end of its head: an idle connection and a head that never ends are cut alike.
pub const API_HEAD_TIMEOUT_MS: u64 = 30_000;

/// A request's line and headers.
pub const API_HEAD_BYTES_MAX: usize = 16 * 1024;

/// The headers of a request.
pub const API_HEADERS_MAX: usize = 64;

/// A request's body, the largest batch.
pub const API_BODY_BYTES_MAX: usize = BATCH_BYTES_MAX;

/// From the end of the head to the end of the body.
pub const API_BODY_TIMEOUT_MS: u64 = 10_000;

/// From the end of the head to the beginning of the answer.
pub const API_REQUEST_TIMEOUT_MS: u64 = 60_000;

/// What was written and the peer does not take.
pub const API_UNREAD_TIMEOUT_MS: u32 = 30_000;

/// Above this a body needs one of a few places, and so does every batch: a body of 1 MiB may be answered with 8 MiB.
pub const API_SMALL_BODY_BYTES: usize = 16 * 1024;

/// Those places.
pub const API_LARGE_REQUESTS_MAX: usize = 16;

/// Threads on which look-ups over TLS are answered: one may wait for the audit.
pub const API_ANSWERING_THREADS: usize = 8;

/// Ordered stop: how long requests under way may take.
pub const API_STOP_TIMEOUT_MS: u64 = 3_000;

/// Between two looks at whether certificates were renewed.
pub const API_REREAD_MS: u64 = 1_000;

/// From how many days before its end on the log speaks of the server's own certificate.
pub const API_WARN_DAYS: u64 = 30;

/// Lines a second that the log gives to those who are turned away; the rest is counted.
pub const API_TURNED_AWAY_LINES_PER_S: u32 = 10;

const _: () = assert!(CHECKPOINT_WAIT_S_MAX * 1000 < API_REQUEST_TIMEOUT_MS && API_BODY_TIMEOUT_MS < API_REQUEST_TIMEOUT_MS);
const _: () = assert!(API_SMALL_BODY_BYTES < API_BODY_BYTES_MAX && API_CONNECTIONS_MAX <= API_CONNECTIONS_MOST);

/// How long a site's authority is valid, when nobody says.
pub const PKI_CA_DAYS: u32 = 3_650;

/// How long a certificate is valid, when nobody says.
pub const PKI_CERTIFICATE_DAYS: u32 = 825;

/// The longest that may be asked for.
pub const PKI_DAYS_MAX: u32 = 7_300;

/// How long before it is made a certificate is valid: clocks differ.
pub const PKI_CLOCK_LEEWAY_S: i64 = 3_600;

const _: () = assert!(PKI_CERTIFICATE_DAYS <= PKI_CA_DAYS && PKI_CA_DAYS <= PKI_DAYS_MAX);

/// Frames published to a broker of which the acknowledgement has not come, and their bytes. Each is asked for again after a restart, so
/// that a smaller window costs nothing but a line's delay.
pub const BROKER_WINDOW_FRAMES_MAX: usize = 64;

/// Their bytes.
pub const BROKER_WINDOW_BYTES_MAX: usize = 16 << 20;

/// Frames that came from a broker and wait for their turn.
pub const BROKER_WAITING_FRAMES_MAX: usize = 1_024;

/// Their bytes.
pub const BROKER_WAITING_BYTES_MAX: usize = 64 << 20;

/// Messages asked of a broker at a time. They lie in memory until they are taken, so that this many of the largest are what it may take.
pub const BROKER_BATCH_MESSAGES: usize = 64;

/// What is applied, synced and acknowledged to a broker at once, bytes.
pub const BROKER_RUN_BYTES: usize = 4 << 20;

/// A connection to a broker.
pub const BROKER_CONNECT_TIMEOUT_MS: u64 = 5_000;

/// An acknowledgement or an answer of a broker.
pub const BROKER_ANSWER_TIMEOUT_MS: u64 = 5_000;

/// The first pause after a broker failed; each failure in a row doubles it.
pub const BROKER_RETRY_MS_MIN: u64 = 200;

/// The longest pause.
pub const BROKER_RETRY_MS_MAX: u64 = 10_000;

/// How long a gap among a broker's messages may wait to be filled by what is under way.
pub const BROKER_GAP_MS: u64 = 1_000;

/// Without news a checkpoint is published so often, so that followers know that they are not behind.
pub const BROKER_CHECKPOINT_S: u64 = 30;

/// While registering goes on, a checkpoint follows the one before it no sooner: each is a message that every follower takes.
pub const BROKER_CHECKPOINT_BUSY_MS: u64 = 2_000;

/// States that are signed ahead, for frames that are still to be published.
pub const BROKER_CHECKPOINTS_DUE_MAX: usize = 64;

/// How long a broker waits for the acknowledgement of a message before it gives it out again. Reading is begun anew at each start, so that
/// this delays nothing.
pub const BROKER_ACK_WAIT_S: u64 = 60;

const _: () = assert!(BROKER_WINDOW_BYTES_MAX > crate::log::FRAME_BYTES_MAX && BROKER_WAITING_BYTES_MAX > BROKER_RUN_BYTES);
const _: () = assert!(BROKER_BATCH_MESSAGES * 2 <= BROKER_WAITING_FRAMES_MAX && BROKER_RETRY_MS_MIN < BROKER_RETRY_MS_MAX);
