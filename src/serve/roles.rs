#![forbid(unsafe_code)]
//! Who may do what. A token and a client certificate both give an [`Identity`]: an institution or a node, with a role. What a role may do
//! stands in one table, which `docs/operations/roles.md` repeats for people.

use std::fmt;

use crate::domain::identifier::InstitutionCode;

/// What somebody is to this register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A medical institution or a pharmacy (保険医療機関・薬局): its reception asks.
    Institution,
    /// An authority (実施機関) that registers recipients.
    Authority,
    /// A clearing house (審査支払機関), which checks the claims of all institutions.
    ClearingHouse,
    /// Another machine that follows the log.
    Replica,
    /// Whoever watches over this machine.
    Operator,
}

/// What somebody may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// One look-up.
    LookUp,
    /// Many look-ups in one request.
    LookUpMany,
    /// Name another institution than one's own in a look-up.
    LookUpForOthers,
    /// Read status and metrics; health is for everybody.
    ReadStatus,
    /// Read the log: checkpoints, segments, snapshots.
    Follow,
    /// Register recipients.
    Register,
}

const YES: bool = true;
const NO: bool = false;

/// The table. Whoever is not in it may nothing.
#[rustfmt::skip]
const TABLE: [(Deed, [bool; Role::ALL.len()]); Deed::ALL.len()] = [
    //                       institution  authority  clearing_house  replica  operator
    (Deed::LookUp,          [YES,         NO,        YES,            NO,      NO ]),
    (Deed::LookUpMany,      [YES,         NO,        YES,            NO,      NO ]),
    (Deed::LookUpForOthers, [NO,          NO,        YES,            NO,      NO ]),
    (Deed::ReadStatus,      [YES,         YES,       YES,            YES,     YES]),
    (Deed::Follow,          [NO,          NO,        NO,             YES,     NO ]),
    (Deed::Register,        [NO,          YES,       NO,             NO,      NO ]),
];

/// Whether a role may do a deed.
pub fn may(role: Role, deed: Deed) -> bool {
    let row = TABLE.iter().find(|(of, _)| *of == deed).map(|(_, row)| row);
    row.is_some_and(|row| Role::ALL.iter().zip(row).any(|(of, allowed)| *of == role && *allowed))
}

impl Role {
    /// All roles, in the order of the table's columns.
    pub const ALL: [Role; 5] = [Role::Institution, Role::Authority, Role::ClearingHouse, Role::Replica, Role::Operator];

    /// The word in commands, token files and certificates.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Institution => "institution",
            Role::Authority => "authority",
            Role::ClearingHouse => "clearing_house",
            Role::Replica => "replica",
            Role::Operator => "operator",
        }
    }

    /// The word that stood in token files before there were certificates; it is still read.
    const fn old_word(self) -> Option<&'static str> {
        match self {
            Role::Institution => Some("lookup"),
            Role::Authority => Some("register"),
            Role::ClearingHouse => None,
            Role::Replica => Some("follow"),
            Role::Operator => Some("monitor"),
        }
    }

    /// The role of a word, as it is said now or as it was said before.
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word || role.old_word() == Some(word))
    }

    /// All words that mean a role: those of now first.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Role::ALL.into_iter().map(Role::word).chain(Role::ALL.into_iter().filter_map(Role::old_word))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Deed {
    /// All deeds, in the order of the table's rows.
    pub const ALL: [Deed; 6] =
        [Deed::LookUp, Deed::LookUpMany, Deed::LookUpForOthers, Deed::ReadStatus, Deed::Follow, Deed::Register];

    /// The words in the documentation's table and in the operator's log.
    pub const fn words(self) -> &'static str {
        match self {
            Deed::LookUp => "look up",
            Deed::LookUpMany => "look up many at once",
            Deed::LookUpForOthers => "look up for another institution",
            Deed::ReadStatus => "read status and metrics",
            Deed::Follow => "follow the log",
            Deed::Register => "register",
        }
    }
}

/// The name of a machine: 1 to 63 letters, digits, dots, hyphens and underscores, and not ten digits, which are an institution's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeName(Box<str>);

impl NodeName {
    /// The longest name, characters.
    pub const LENGTH_MAX: usize = 63;

    /// Reads a name.
    pub fn parse(text: &str) -> Result<NodeName, IdentityError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = (1..=Self::LENGTH_MAX).contains(&text.len())
            && text.bytes().all(allowed)
            && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
            && InstitutionCode::parse(text.as_bytes()).is_err();
        if is_name { Ok(NodeName(text.into())) } else { Err(IdentityError::Name) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// An institution, by its code.
    Institution(InstitutionCode),
    /// A machine, by its name.
    Node(NodeName),
}

impl Who {
    /// Reads ten digits as an institution and everything else as a machine's name.
    pub fn parse(text: &str) -> Result<Who, IdentityError> {
        InstitutionCode::parse(text.as_bytes()).map(Who::Institution).or_else(|_| NodeName::parse(text).map(Who::Node))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Digits, by their type.
            Who::Institution(code) => code.as_bytes().iter().try_for_each(|digit| write!(f, "{}", char::from(*digit))),
            Who::Node(name) => f.write_str(name.as_str()),
        }
    }
}

/// An institution or a machine, with its role. It is shown as in a certificate, `institution:0110113719`; it names nobody who is ill.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    role: Role,
    who: Who,
}

/// Why something is no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a machine's name.
    #[error("a name is 1 to 63 letters, digits, dots, hyphens and underscores, and not ten digits")]
    Name,
    /// An institution is its code.
    #[error("the role `institution` belongs to an institution code of 10 digits")]
    InstitutionWithoutCode,
    /// Not what this program writes into certificates.
    #[error("not urn:shikaku:ROLE:CODE-OR-NAME")]
    Urn,
    /// A role that this program does not know.
    #[error("an unknown role")]
    Role,
}

impl Identity {
    const URN: &str = "urn:shikaku:";

    /// An identity. An institution's is its code and nothing else, because answers depend on it.
    pub fn new(role: Role, who: Who) -> Result<Identity, IdentityError> {
        if role == Role::Institution && !matches!(who, Who::Institution(_)) {
            return Err(IdentityError::InstitutionWithoutCode);
        }
        Ok(Identity { role, who })
    }

    /// Reads `urn:shikaku:ROLE:CODE-OR-NAME`, as it stands in a certificate. Only the words of now are roles there.
    pub fn parse_urn(urn: &str) -> Result<Identity, IdentityError> {
        let (role, who) = urn.strip_prefix(Self::URN).and_then(|rest| rest.split_once(':')).ok_or(IdentityError::Urn)?;
        let role = Role::ALL.into_iter().find(|known| known.word() == role).ok_or(IdentityError::Role)?;
        Identity::new(role, Who::parse(who)?)
    }

    /// Whether a text wants to be an identity of this program's.
    pub fn is_urn(urn: &str) -> bool {
        urn.starts_with(Self::URN)
    }

    /// The identity as it stands in a certificate.
    pub fn urn(&self) -> String {
        format!("{}{self}", Self::URN)
    }

    /// The role.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Institution or machine.
    pub const fn who(&self) -> &Who {
        &self.who
    }

    /// The institution for which it looks up, where that is not for it to say.
    pub fn bound_institution(&self) -> Option<InstitutionCode> {
        match self.who {
            Who::Institution(code) if !may(self.role, Deed::LookUpForOthers) => Some(code),
            Who::Institution(_) | Who::Node(_) => None,
        }
    }

    /// Whether it may do a deed.
    pub fn may(&self, deed: Deed) -> bool {
        may(self.role, deed)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.role, self.who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells of a documentation page's one table with a column for each role.
    fn documented(page: &str) -> Vec<Vec<String>> {
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let tables = page.lines().skip_while(|line| !line.contains("| `institution` |"));
        tables.take_while(|line| line.starts_with('|')).filter(|line| !line.starts_with("|---")).map(cells).collect()
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the line is the suite's output")]
    fn the_documented_tables_say_what_the_code_does() {
        let english = include_str!("../../docs/operations/roles.md");
        let japanese = include_str!("../../docs/operations/roles.ja.md");
        for (page, yes) in [(english, "yes"), (japanese, "可")] {
            let table = documented(page);
            let (head, rows) = table.split_first().unwrap();
            let roles: Vec<String> = Role::ALL.iter().map(|role| format!("`{role}`")).collect();
            assert_eq!(&head[1..], roles);
            assert_eq!(rows.len(), Deed::ALL.len());
            for (row, deed) in rows.iter().zip(Deed::ALL) {
                assert!(page == japanese || row[0] == deed.words(), "{row:?}");
                let cells: Vec<bool> = row[1..].iter().map(|cell| cell == yes).collect();
                assert_eq!(cells, Role::ALL.map(|role| may(role, deed)), "{}", deed.words());
                assert!(row[1..].iter().all(|cell| cell == yes || cell == "–"), "{row:?}");
            }
        }
        let asked = Role::ALL.len() * Deed::ALL.len();
        println!(
            "proof: who may do what stands in one table | every role and deed of it, in two languages | \
             the_documented_tables_say_what_the_code_does | {asked}"
        );
    }

    #[test]
    fn every_role_is_read_by_its_word_and_by_the_word_of_before() {
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.word()), Some(role));
        }
        let before = [
            ("lookup", Role::Institution),
            ("register", Role::Authority),
            ("follow", Role::Replica),
            ("monitor", Role::Operator),
        ];
        for (word, role) in before {
            assert_eq!(Role::from_word(word), Some(role));
        }
        assert_eq!(Role::from_word("king"), None);
        assert_eq!(Role::words().count(), 9);
    }

    #[test]
    fn an_identity_reads_as_it_is_written_and_nothing_else_does() {
        for urn in
            ["urn:shikaku:institution:0110113719", "urn:shikaku:clearing_house:hub.example", "urn:shikaku:replica:ward-3_b"]
        {
            assert_eq!(Identity::parse_urn(urn).unwrap().urn(), urn);
        }
        let long = format!("urn:shikaku:replica:{}", "n".repeat(64));
        for (urn, why) in [
            ("urn:shikaku:institution:north-hospital", IdentityError::InstitutionWithoutCode),
            ("urn:shikaku:king:hub", IdentityError::Role),
            ("urn:shikaku:lookup:0110113719", IdentityError::Role),
            ("urn:shikaku:replica", IdentityError::Urn),
            ("urn:other:replica:hub", IdentityError::Urn),
            ("urn:shikaku:replica:", IdentityError::Name),
            ("urn:shikaku:replica:a b", IdentityError::Name),
            ("urn:shikaku:replica:..", IdentityError::Name),
            ("urn:shikaku:replica:a:b", IdentityError::Name),
            (&long, IdentityError::Name),
        ] {
            assert_eq!(Identity::parse_urn(urn), Err(why), "{urn}");
        }
    }

    #[test]
    fn an_institution_asks_for_itself_and_a_clearing_house_for_all() {
        let bound = |urn: &str| Identity::parse_urn(urn).unwrap().bound_institution();
        assert!(bound("urn:shikaku:institution:0110113719").is_some());
        assert!(bound("urn:shikaku:clearing_house:0110113719").is_none());
    }
}
