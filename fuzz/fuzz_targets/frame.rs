//! The payloads of frames, and what the store holds, as whoever could write to the disk or to the owner's socket would send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shikaku::domain::decision::Row as _;
use shikaku::record::dossier::HeldRow;
use shikaku::record::payload::{Changes, FeedRecord, MasterPiece, read_horizon};
use shikaku::record::row::ArchivedRow;
use shikaku::record::{DossierBatch, DossierRef, identity};
use shikaku::registry::ledger::Ledger;
use shikaku::store::StoreMeta;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, payload)) = bytes.split_first() else { return };
    match kind % 6 {
        0 => {
            let Ok(changes) = Changes::validated(payload) else { return };
            let mut batch = DossierBatch::default();
            for change in changes.iter() {
                use_row(change.row);
                let held = HeldRow { row: change.row, bytes: change.bytes, sequence: 1, time_unix_s: 1 };
                if let Some(place) = batch.push(7, &[held]) {
                    let laid_out = batch.dossier(place).expect("a dossier that was laid out");
                    use_dossier(DossierRef::validated(laid_out.as_bytes()).expect("a valid dossier"));
                }
            }
        }
        1 => {
            let mut ledger = Ledger::empty(read_horizon(&20_241_101_u64.to_le_bytes()).expect("a day"));
            if let Ok(piece) = MasterPiece::read(payload) {
                let _ = ledger.take_master(2, &piece);
            }
        }
        2 => {
            if let Ok(feed) = FeedRecord::read(payload) {
                assert_eq!(FeedRecord::read(&feed.to_bytes()), Ok(feed));
            }
        }
        3 => {
            let _ = read_horizon(payload);
        }
        4 => {
            let mut words = vec![0_u64; payload.len() / 8];
            for (word, bytes) in words.iter_mut().zip(payload.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
            }
            let aligned: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            if aligned.as_ptr().addr().is_multiple_of(8)
                && let Ok(dossier) = DossierRef::validated(&aligned)
            {
                use_dossier(dossier);
            }
        }
        _ => {
            if let Some(meta) = StoreMeta::decode(payload) {
                assert_eq!(StoreMeta::decode(&meta.encode()), Some(meta));
            }
        }
    }
});

fn use_dossier(dossier: DossierRef<'_>) {
    let (mut scratch, mut keys) = (Vec::new(), Vec::new());
    dossier.keys_into(&mut scratch, &mut keys);
    assert!(!keys.is_empty());
    let _ = dossier.insured_identity();
    assert_eq!(dossier.held_rows().count(), dossier.row_count());
    for held in dossier.held_rows() {
        use_row(held.row);
    }
}

fn use_row(row: &ArchivedRow) {
    let mut scratch = Vec::new();
    let _ = identity::row_identity(row, &mut scratch);
    row.append_content(&mut scratch);
    let texts = [row.symbol(), row.number(), row.certificate_name(), row.segment(), row.income_segment()];
    let more = [row.additional_conditions(), row.card_link(), row.recipient_number(), row.sub_key(), row.history_key()];
    let bytes: usize = texts.iter().chain(&more).map(|text| text.chars().count()).sum();
    assert!(bytes <= shikaku::record::row::ROW_BYTES_MAX);
    let _ = (row.copay(), row.filled_columns(), row.valid_from().days_until(row.valid_to()), row.birth_date(), row.sex());
    let _ = (row.designated_institutions().len(), row.insurer_number(), row.payer_number(), row.branch_number());
}
