//! A registration file in both encodings and both forms of dates, from its first byte to archived rows.
#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use shikaku::domain::day::DateForm;
use shikaku::domain::masters::Masters;
use shikaku::ingest::{ChunkReader, Columns, Encoding, IngestError, ParseOptions, RowParser};
use shikaku::record::payload::Changes;
use shikaku::record::row::Row;
use shikaku_fuzz::register::masters;
use shikaku_fuzz::scratch::Scratch;

thread_local! {
    static SCRATCH: LazyCell<(Scratch, Masters)> = LazyCell::new(|| (Scratch::new(), masters()));
}

fuzz_target!(|bytes: &[u8]| {
    let Some((how, file)) = bytes.split_first() else { return };
    let options = ParseOptions {
        encoding: if how & 1 == 0 { Encoding::Utf8 } else { Encoding::Cp932 },
        dates: if how & 2 == 0 { DateForm::Iso } else { DateForm::Gyymmdd },
    };
    // Nothing but an error is asked for: a file is read or refused.
    let _ = SCRATCH.with(|scratch| read(scratch.0.holding(file), options, &scratch.1));
});

fn read(path: &std::path::Path, options: ParseOptions, masters: &Masters) -> Result<(), IngestError> {
    let mut reader = ChunkReader::open(path)?;
    let columns = Columns::of(reader.header(), options.encoding)?;
    let mut parser = RowParser::new(&columns, masters, options);
    let mut changes = Changes::new();
    let mut last_line = 1;
    while let Some(chunk) = reader.next_chunk(Vec::new())? {
        for record in chunk.records() {
            assert!(record.line > last_line, "lines go on");
            last_line = record.line;
            if let Ok((operation, registration)) = parser.parse(&record) {
                changes.push(operation, &Row::of(&registration)).expect("what is parsed can be archived");
            }
        }
    }
    assert!(last_line <= reader.summary().lines);
    let read_again = Changes::validated(changes.as_bytes()).expect("what is archived is valid");
    assert_eq!(read_again.count(), changes.count());
    parser.individual_numbers().verdict()
}
