//! A registration row, and the line of the registration file that carries it.

use super::copay::Copay;
use super::text::decimal;
use crate::domain::day::{BirthDate, Day};

/// The header row of a registration file, with its line end.
pub const HEADER: &str = "op,authority_code,certificate_type_id,certificate_name,insurer_number,symbol,number,branch_number,\
    birth_date,sex,payer_number,recipient_number,sub_key,history_key,segment,income_segment,additional_conditions,\
    designated_institutions,always_reimbursement,not_disclosed,rate_percent,outpatient_visit_yen,inpatient_day_yen,\
    pharmacy_visit_yen,monthly_cap_yen,monthly_visits_cap,valid_from,valid_to,card_link\n";

/// One registered row: a certificate in one of its periods. Text is as it stands in the file; absent is empty.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the registration file, by their names")]
pub struct RegistrationRow<'a> {
    pub authority_code: &'a str,
    pub certificate_type_id: &'a str,
    pub certificate_name: &'a str,
    pub insurer_number: &'a str,
    pub symbol: &'a str,
    pub number: &'a str,
    pub branch_number: Option<u8>,
    pub birth_date: BirthDate,
    pub sex: u8,
    pub payer_number: &'a str,
    pub recipient_number: &'a str,
    pub sub_key: &'a str,
    /// Eight digits, the first day of the period: the authority's own numbering of its history.
    pub history_key: u32,
    pub segment: &'a str,
    pub income_segment: &'a str,
    pub additional_conditions: &'a str,
    pub designated_institutions: &'a str,
    pub always_reimbursement: bool,
    pub not_disclosed: bool,
    pub copay: Copay,
    pub valid_from: Day,
    pub valid_to: Day,
    pub card_link: &'a str,
}

impl RegistrationRow<'_> {
    /// Appends the line that registers the row.
    pub fn write_upsert(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"upsert,");
        for identity in [self.authority_code, self.certificate_type_id] {
            plain(line, identity);
        }
        field(line, self.certificate_name);
        plain(line, self.insurer_number);
        field(line, self.symbol);
        field(line, self.number);
        self.write_branch(line);
        line.extend_from_slice(&self.birth_date.iso());
        line.extend_from_slice(&[b',', b'0' + self.sex % 10, b',']);
        plain(line, self.payer_number);
        field(line, self.recipient_number);
        plain(line, self.sub_key);
        number(line, Some(self.history_key));
        field(line, self.segment);
        field(line, self.income_segment);
        field(line, self.additional_conditions);
        plain(line, self.designated_institutions);
        line.extend_from_slice(if self.always_reimbursement { b"1," } else { b"0," });
        line.extend_from_slice(if self.not_disclosed { b"1," } else { b"0," });
        self.write_copay(line);
        line.extend_from_slice(&self.valid_from.iso());
        line.push(b',');
        // Both ways of writing "no end" occur, by the parity of the first day.
        if self.valid_to != Day::OPEN_END || self.valid_from.packed().is_multiple_of(2) {
            line.extend_from_slice(&self.valid_to.iso());
        }
        line.push(b',');
        line.extend_from_slice(self.card_link.as_bytes());
        line.push(b'\n');
    }

    /// Appends the line that withdraws the row: only the columns of its identity are filled.
    pub fn write_delete(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"delete,");
        plain(line, self.authority_code);
        plain(line, self.certificate_type_id);
        line.extend_from_slice(b",,,,,");
        line.extend_from_slice(&self.birth_date.iso());
        line.extend_from_slice(b",,,");
        field(line, self.recipient_number);
        plain(line, self.sub_key);
        number(line, Some(self.history_key));
        // Fourteen columns come after the history key's comma, the last without a comma of its own.
        line.extend_from_slice(b",,,,,,,,,,,,,,\n");
    }

    fn write_branch(&self, line: &mut Vec<u8>) {
        if let Some(branch) = self.branch_number {
            line.extend_from_slice(&[b'0' + branch / 10 % 10, b'0' + branch % 10]);
        }
        line.push(b',');
    }

    fn write_copay(&self, line: &mut Vec<u8>) {
        let copay = &self.copay;
        number(line, copay.rate_percent);
        number(line, copay.outpatient_visit_yen);
        number(line, copay.inpatient_day_yen);
        number(line, copay.pharmacy_visit_yen);
        number(line, copay.monthly_cap_yen);
        number(line, copay.monthly_visits_cap);
    }
}

/// Text that can hold neither comma nor quote.
fn plain(line: &mut Vec<u8>, text: &str) {
    line.extend_from_slice(text.as_bytes());
    line.push(b',');
}

/// Text that is quoted where RFC 4180 asks for it.
fn field(line: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        line.push(b'"');
        line.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        line.extend_from_slice(b"\",");
    } else {
        plain(line, text);
    }
}

fn number(line: &mut Vec<u8>, value: Option<u32>) {
    if let Some(value) = value {
        let (digits, start) = decimal(u64::from(value), 1);
        line.extend_from_slice(digits.get(start..).unwrap_or_default());
    }
    line.push(b',');
}
