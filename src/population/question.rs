//! Questions as they go over the wire.

use super::insured::Insured;
use super::recipient::Recipient;
use super::text::{Text, narrow};
use crate::domain::day::{BirthDate, Day};

/// What a question is asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Insurer, symbol, number and birth date.
    Member,
    /// Payer and recipient number.
    Certificate,
    /// Card link.
    Card,
}

/// What is asked, without the day.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// About an insured person.
    Member {
        /// The card.
        insured: Insured,
        /// Whether the clerk enters the branch number.
        with_branch: bool,
    },
    /// About a certificate.
    Certificate {
        /// 公費負担者番号.
        payer: Text<8>,
        /// 公費受給者番号.
        recipient: Text<16>,
        /// Given or not.
        birth: Option<BirthDate>,
    },
    /// About the holder of a card.
    Card {
        /// The link.
        link: Text<20>,
    },
}

impl Recipient {
    /// The question by insurance card. Where the insurer gives no branch number, none is asked with.
    pub fn ask_member(&self, with_branch: bool) -> Asked {
        Asked::Member { insured: self.insured, with_branch }
    }

    /// The question by certificate `nth`, if it has a payer number.
    pub fn ask_certificate(&self, nth: usize, with_birth: bool) -> Option<Asked> {
        let certificate = self.certificates.get(nth)?;
        let birth = with_birth.then_some(self.insured.birth);
        Some(Asked::Certificate { payer: certificate.payer?, recipient: certificate.recipient, birth })
    }

    /// The question by card link, if there is one.
    pub fn ask_card(&self) -> Option<Asked> {
        self.card.map(|link| Asked::Card { link })
    }
}

impl Asked {
    /// What it is asked by.
    pub fn kind(&self) -> Kind {
        match self {
            Asked::Member { .. } => Kind::Member,
            Asked::Certificate { .. } => Kind::Certificate,
            Asked::Card { .. } => Kind::Card,
        }
    }

    /// The same question as a system writes it that knows only half-width letters and digits; the right answer is the same.
    #[must_use]
    pub fn narrowed(mut self) -> Asked {
        if let Asked::Member { insured, .. } = &mut self {
            insured.symbol = narrowed(&insured.symbol);
            insured.number = narrowed(&insured.number);
        }
        self
    }

    /// The line of the batch form, without its line end; `day` where it is not the request's own.
    pub fn line(&self, day: Option<Day>) -> String {
        let mut line = match self {
            Asked::Member { insured, with_branch } => {
                let Insured { symbol, number, .. } = insured;
                let (insurer, branch) = (insured.padded_insurer(), insured.shown_branch(*with_branch));
                format!("m\t{insurer}:{symbol}:{number}:{branch}\t{}", iso(insured.birth))
            }
            Asked::Certificate { payer, recipient, .. } => format!("c\t{payer}\t{recipient}"),
            Asked::Card { link } => format!("k\t{link}"),
        };
        let birth = match self {
            Asked::Certificate { birth, .. } => *birth,
            _ => None,
        };
        if let Some(day) = day {
            line.push_str(&format!("\t{day}"));
            // The birth date has its place after the service date, and so needs one.
            if let Some(birth) = birth {
                line.push_str(&format!("\t{}", iso(birth)));
            }
        }
        line
    }

    /// The body of a single question in JSON.
    pub fn json(&self, day: Day, consent: bool, institution: Option<&str>) -> String {
        let mut body = match self {
            Asked::Member { insured, with_branch } => {
                let Insured { insurer_number, symbol, number, .. } = insured;
                let branch = insured.shown_branch(*with_branch);
                let branch = if branch.as_bytes().is_empty() { String::new() } else { format!(r#""branch_number":"{branch}","#) };
                let symbol = if symbol.as_bytes().is_empty() { String::new() } else { format!(r#""symbol":"{symbol}","#) };
                let birth = iso(insured.birth);
                format!(
                    r#"{{"member":{{"insurer_number":"{insurer_number}",{symbol}"number":"{number}",{branch}"birth_date":"{birth}"}}"#
                )
            }
            Asked::Certificate { payer, recipient, birth } => {
                let birth = birth.map_or(String::new(), |birth| format!(r#","birth_date":"{}""#, iso(birth)));
                format!(r#"{{"certificate":{{"payer_number":"{payer}","recipient_number":"{recipient}"{birth}}}"#)
            }
            Asked::Card { link } => format!(r#"{{"card_link":"{link}""#),
        };
        body.push_str(&format!(r#","service_date":"{day}","consent":{consent}"#));
        if let Some(institution) = institution {
            body.push_str(&format!(r#","institution":"{institution}""#));
        }
        body.push('}');
        body
    }
}

impl Insured {
    /// Eight characters, padded with zeros, as 被保険者個人識別子 has it.
    fn padded_insurer(&self) -> String {
        format!("{:0>8}", self.insurer_number.as_str().trim_start())
    }

    /// The branch number as the card shows it.
    fn shown_branch(&self, with_branch: bool) -> Text<2> {
        Insured { branch_registered: with_branch, ..*self }.registered_branch()
    }
}

fn iso(birth: BirthDate) -> String {
    birth.iso().map(char::from).iter().collect()
}

fn narrowed<const N: usize>(text: &Text<N>) -> Text<N> {
    let mut made = Text::new();
    text.as_str().chars().for_each(|character| made.push(narrow(character)));
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::Population;

    fn population() -> Population {
        Population::new(1, 1_000, Day::parse(b"2026-11-22").unwrap()).unwrap()
    }

    fn member(symbol: &str, number: &str) -> Asked {
        let mut insured = population().recipient(0).insured;
        insured.insurer_number = Text::of("  138057");
        insured.symbol = Text::of(symbol);
        insured.number = Text::of(number);
        insured.branch = Some(5);
        insured.branch_registered = false;
        insured.birth = BirthDate::parse(b"19800101").unwrap();
        Asked::Member { insured, with_branch: true }
    }

    #[test]
    fn lines_have_the_forms_of_the_contract() {
        let day = Day::parse(b"2026-10-01").unwrap();
        let asked = member("千代田区・第１２", "１２３－４５");
        assert_eq!(asked.line(None), "m\t00138057:千代田区・第１２:１２３－４５:05\t1980-01-01");
        assert_eq!(asked.narrowed().line(Some(day)), "m\t00138057:千代田区・第12:123-45:05\t1980-01-01\t2026-10-01");
        let Asked::Member { insured, .. } = member("", "１８７") else { panic!() };
        let without = Asked::Member { insured, with_branch: false };
        assert_eq!(without.line(None), "m\t00138057::１８７:\t1980-01-01");
        let birth = Some(insured.birth);
        let certificate = Asked::Certificate { payer: Text::of("54136015"), recipient: Text::of("1234567"), birth };
        assert_eq!(certificate.line(Some(day)), "c\t54136015\t1234567\t2026-10-01\t1980-01-01");
        assert_eq!(certificate.line(None), "c\t54136015\t1234567");
        assert_eq!(Asked::Card { link: Text::of("abc") }.line(Some(day)), "k\tabc\t2026-10-01");
    }

    #[test]
    fn bodies_have_the_form_of_the_contract() {
        let day = Day::parse(b"2026-11-22").unwrap();
        let body: serde_json::Value =
            serde_json::from_str(&member("1234", "5678901").json(day, true, Some("0110113719"))).unwrap();
        let expected = serde_json::json!({
            "member": {
                "insurer_number": "  138057", "symbol": "1234", "number": "5678901", "branch_number": "05",
                "birth_date": "1980-01-01",
            },
            "service_date": "2026-11-22", "consent": true, "institution": "0110113719",
        });
        assert_eq!(body, expected);
    }
}
