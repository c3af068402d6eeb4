//! A registration (登録): what an authority says about one certificate of one person in one period, parsed and well formed.

use super::day::{BirthDate, Day};
use super::decision::Copay;
use super::identifier::{AuthorityCode, BranchNumber, InstitutionCode, InsurerNumber, PayerNumber, Sex};

/// One change to the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Register, or register anew: supersedes the current row of the same identity.
    Upsert,
    /// Withdraw (取消) a row that was registered by mistake. Only the columns of its identity count.
    Withdraw,
}

/// A row as the authority registers it. Texts are kept as printed; an absent text is empty, an absent number `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The authority that registers.
    pub authority: AuthorityCode,
    /// Certificate type (機関別受給者証種別ID).
    pub certificate_type: String,
    /// Certificate name (受給者証名).
    pub certificate_name: String,
    /// Insurer number (保険者番号).
    pub insurer: InsurerNumber,
    /// Symbol (記号).
    pub symbol: String,
    /// Number (番号).
    pub number: String,
    /// Branch number (枝番).
    pub branch: Option<BranchNumber>,
    /// Birth date (生年月日).
    pub birth_date: BirthDate,
    /// Sex (性別).
    pub sex: Option<Sex>,
    /// Payer number (公費負担者番号).
    pub payer: Option<PayerNumber>,
    /// Recipient number (公費受給者番号).
    pub recipient_number: String,
    /// Sub key (受給者証サブキー).
    pub sub_key: String,
    /// History key (履歴キー).
    pub history_key: String,
    /// Segment (区分).
    pub segment: String,
    /// Income segment (所得区分).
    pub income_segment: String,
    /// Additional conditions (追加条件).
    pub additional_conditions: String,
    /// Institutions at which alone the certificate is good (指定医療機関); empty when at any.
    pub designated_institutions: Vec<InstitutionCode>,
    /// The patient always pays and claims back (常に償還払い).
    pub always_reimbursement: bool,
    /// The issuer must not be told (不開示).
    pub not_disclosed: bool,
    /// What the patient pays.
    pub copay: Copay,
    /// First day of validity.
    pub valid_from: Day,
    /// Last day of validity, inclusive.
    pub valid_to: Day,
    /// Opaque link to the card; empty when there is none.
    pub card_link: String,
}
