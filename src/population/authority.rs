//! Where recipients live and who issues their certificates (実施機関).
//!
//! The country is cut into *seats* of equal weight, each inside one prefecture; a large city spans several, a seat in the
//! country holds dozens of towns. A payer number names one seat: within its prefecture every pair of municipality and seat has a
//! number of its own (001 …), and so has every seat of the prefecture itself (601 …). In the field, too, a big authority has
//! several payer numbers for one scheme (domain notes §2.2). That is what keeps recipient numbers apart, see
//! the story of the room.

use std::sync::LazyLock;

use super::random::mix;

/// How many people in thousands make a seat; about three hundred seats in all.
const SEAT_THOUSANDS: u32 = 400;

/// The designated cities (政令指定都市) with their people in thousands.
const DESIGNATED_CITIES: [(&str, u32); 20] = [
    ("札幌市", 1970),
    ("仙台市", 1100),
    ("さいたま市", 1330),
    ("千葉市", 980),
    ("横浜市", 3770),
    ("川崎市", 1540),
    ("相模原市", 730),
    ("新潟市", 780),
    ("静岡市", 690),
    ("浜松市", 790),
    ("名古屋市", 2330),
    ("京都市", 1460),
    ("大阪市", 2750),
    ("堺市", 830),
    ("神戸市", 1520),
    ("岡山市", 720),
    ("広島市", 1200),
    ("北九州市", 940),
    ("福岡市", 1620),
    ("熊本市", 740),
];

/// The core cities (中核市); no other city shares a name with one of them.
const CORE_CITIES: &str = "函館市 旭川市 青森市 八戸市 盛岡市 秋田市 山形市 福島市 郡山市 いわき市 水戸市 宇都宮市 前橋市 \
    高崎市 川越市 川口市 越谷市 船橋市 柏市 八王子市 横須賀市 富山市 金沢市 福井市 甲府市 長野市 松本市 岐阜市 豊橋市 岡崎市 \
    一宮市 豊田市 大津市 豊中市 吹田市 高槻市 枚方市 八尾市 寝屋川市 東大阪市 姫路市 尼崎市 明石市 西宮市 奈良市 和歌山市 \
    鳥取市 松江市 倉敷市 呉市 福山市 下関市 高松市 松山市 高知市 久留米市 長崎市 佐世保市 大分市 宮崎市 鹿児島市 那覇市";

/// What a municipality may issue besides its own schemes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Ordinary,
    Core,
    Designated,
}

pub(super) struct Municipality {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) rank: Rank,
    thousands: u32,
}

/// A municipality's part in a seat.
pub(super) struct Residence {
    pub(super) municipality: Municipality,
    /// The three digits (実施機関番号) that stand for this municipality and this seat in payer numbers.
    pub(super) issuer: u32,
    thousands: u32,
}

pub(super) struct Seat {
    /// 1 to 47.
    pub(super) prefecture: u32,
    pub(super) prefecture_code: &'static str,
    /// The three digits that stand for the prefecture and this seat in payer numbers.
    pub(super) prefecture_issuer: u32,
    residences: Vec<Residence>,
    thousands: u32,
}

impl Seat {
    /// Who lives where: `lot` is any number, drawn evenly.
    pub(super) fn residence(&self, lot: u64) -> Option<&Residence> {
        let mut rest = u32::try_from(lot % u64::from(self.thousands.max(1))).unwrap_or(0);
        for residence in &self.residences {
            if rest < residence.thousands {
                return Some(residence);
            }
            rest -= residence.thousands;
        }
        self.residences.last()
    }
}

/// All seats, in the order of the authority codes.
pub(super) fn seats() -> &'static [Seat] {
    static SEATS: LazyLock<Vec<Seat>> = LazyLock::new(|| {
        let mut seats = Vec::new();
        for (prefecture, code, municipalities) in prefectures() {
            cut(prefecture, code, &municipalities, &mut seats);
        }
        seats
    });
    &SEATS
}

type Prefecture = (u32, &'static str, Vec<Municipality>);

fn prefectures() -> Vec<Prefecture> {
    let mut prefectures: Vec<Prefecture> = Vec::new();
    for line in include_str!("../../data/authorities.csv").lines().skip(1) {
        let mut columns = line.split(',');
        let (Some(code), Some(_), Some(name), Some(_), Some(kind)) =
            (columns.next(), columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if kind == "prefecture" {
            let number = code.get(..2).and_then(|number| number.parse().ok()).unwrap_or(0);
            prefectures.push((number, code, Vec::new()));
        } else if kind != "ward"
            && let Some((_, _, municipalities)) = prefectures.last_mut()
        {
            // The wards of a designated city issue nothing; the city does.
            municipalities.push(municipality(code, name, kind));
        }
    }
    prefectures
}

/// The size is only plausible: known for the large cities, drawn from the code for the others.
fn municipality(code: &'static str, name: &'static str, kind: &str) -> Municipality {
    let lot = mix(code.parse().unwrap_or(0));
    let spread = |low: u32, high: u32| low + u32::try_from(lot % u64::from(high - low)).unwrap_or(0);
    let designated = DESIGNATED_CITIES.iter().find(|(city, _)| *city == name);
    let core = CORE_CITIES.split(' ').any(|city| city == name);
    let (rank, thousands) = match (designated, kind) {
        (Some((_, thousands)), _) => (Rank::Designated, *thousands),
        (None, "city") if core => (Rank::Core, spread(250, 500)),
        (None, "special_ward") => (Rank::Core, spread(200, 640)),
        (None, "city") => (Rank::Ordinary, spread(30, 125)),
        (None, "town") => (Rank::Ordinary, spread(5, 24)),
        (None, _) => (Rank::Ordinary, spread(2, 6)),
    };
    Municipality { code, name, rank, thousands }
}

fn cut(prefecture: u32, code: &'static str, municipalities: &[Municipality], seats: &mut Vec<Seat>) {
    let total: u32 = municipalities.iter().map(|municipality| municipality.thousands).sum();
    let count = ((total + SEAT_THOUSANDS / 2) / SEAT_THOUSANDS).max(1);
    let mut cities = municipalities.iter();
    let mut issuer = 0;
    let mut left: Option<(&Municipality, u32)> = None;
    for ordinal in 0..count {
        // Whole thousands: the first seats take what the division leaves over.
        let thousands = total / count + u32::from(ordinal < total % count);
        let mut free = thousands;
        let mut residences = Vec::new();
        while free > 0 {
            let Some((city, people)) = left.take().or_else(|| cities.next().map(|city| (city, city.thousands))) else { break };
            let here = people.min(free);
            issuer += 1;
            let municipality = Municipality { ..*city };
            residences.push(Residence { municipality, issuer, thousands: here });
            free -= here;
            left = (people > here).then_some((city, people - here));
        }
        let prefecture_issuer = 601 + ordinal;
        seats.push(Seat { prefecture, prefecture_code: code, prefecture_issuer, residences, thousands });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_issuer_number_names_one_seat() {
        let mut seen = HashSet::new();
        for seat in seats() {
            assert!((1..=47).contains(&seat.prefecture));
            assert!((601..=999).contains(&seat.prefecture_issuer));
            assert!(seen.insert((seat.prefecture, seat.prefecture_issuer)));
            for residence in &seat.residences {
                assert!((1..=600).contains(&residence.issuer));
                assert!(seen.insert((seat.prefecture, residence.issuer)));
            }
        }
    }

    #[test]
    fn everybody_lives_in_a_seat_and_large_cities_weigh_what_they_should() {
        let parts: Vec<_> = seats().iter().flat_map(|seat| &seat.residences).collect();
        let codes: HashSet<_> = parts.iter().map(|part| part.municipality.code).collect();
        assert_eq!(codes.len(), 1741);
        let yokohama: u32 = parts.iter().filter(|part| part.municipality.name == "横浜市").map(|part| part.thousands).sum();
        assert_eq!(yokohama, 3770);
        let core = parts.iter().filter(|part| part.municipality.rank == Rank::Core).map(|part| part.municipality.code);
        assert_eq!(core.collect::<HashSet<_>>().len(), 62 + 23);
        for seat in seats() {
            assert_eq!(seat.residences.iter().map(|part| part.thousands).sum::<u32>(), seat.thousands);
        }
    }
}
