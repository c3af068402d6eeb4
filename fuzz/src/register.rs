//! Registrations as the targets and the seeds know them: the first few people of a synthetic population.

use shikaku::domain::day::{DateForm, Day};
use shikaku::domain::masters::{MasterKind, Masters, built_in};
use shikaku::ingest::{Columns, Encoding, ParseOptions, Records, RowParser};
use shikaku::population::{HEADER, Population};
use shikaku::record::payload::Changes;
use shikaku::record::row::Row;

/// 2026-11-22, midnight in Japan: no target may depend on the day it runs on.
pub const NOW_UNIX_MS: u64 = 1_795_273_200_000;

/// The day of [`NOW_UNIX_MS`].
pub const TODAY: &str = "2026-11-22";

/// The population from which people are taken.
pub fn population(recipients: u64) -> Population {
    let today = Day::parse(TODAY.as_bytes()).expect("a day");
    Population::new(1, recipients, today).expect("a population")
}

/// A registration file of the first people of the population.
pub fn registration_file(recipients: u64) -> Vec<u8> {
    let mut text = format!("{}\n", HEADER.trim_end()).into_bytes();
    population(recipients).write_registrations(0..recipients, &mut text);
    text
}

/// The same as the payload of one frame.
pub fn changes(recipients: u64) -> Changes {
    let masters = masters();
    let file = registration_file(recipients);
    let options = ParseOptions { encoding: Encoding::Utf8, dates: DateForm::Iso };
    let columns = Columns::of(HEADER.trim_end().as_bytes(), options.encoding).expect("columns");
    let mut parser = RowParser::new(&columns, &masters, options);
    let mut changes = Changes::new();
    for record in Records::of(&file[HEADER.trim_end().len() + 1..], 2) {
        let (operation, registration) = parser.parse(&record).expect("a row of the population");
        changes.push(operation, &Row::of(&registration)).expect("a row that can be archived");
    }
    changes
}

/// The masters that a new stream begins with.
pub fn masters() -> Masters {
    let mut masters = Masters::default();
    for kind in MasterKind::ALL {
        masters.replace(kind, &built_in(kind)).expect("built-in masters");
    }
    masters
}
