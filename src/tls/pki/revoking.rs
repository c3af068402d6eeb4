//! Taking certificates back: the authority's list of those that nobody is to believe any more.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::PkiError;
use super::site::{CERTIFICATE, SiteAuthority, making};

/// The authority's list, beside its certificate.
pub(super) const LIST: &str = "ca.crl";

impl SiteAuthority {
    /// Puts a certificate of this authority on its list, in the authority's directory, and gives the number of those on it. One that is on
    /// it already stays there once. The list is the one file that is written anew: aside first, then exchanged.
    pub fn revoke(&self, directory: &Path, certificate: &Path, now_unix_s: u64) -> Result<usize, PkiError> {
        let serial = self.serial_of(certificate)?;
        let path = directory.join(LIST);
        let mut revoked = read_list(&path)?;
        if revoked.iter().all(|known| known.serial_number != serial) {
            revoked.push(RevokedCertParams {
                serial_number: serial,
                revocation_time: moment(now_unix_s)?,
                reason_code: Some(RevocationReason::Unspecified),
                invalidity_date: None,
            });
        }
        let count = revoked.len();
        let list = CertificateRevocationListParams {
            this_update: moment(now_unix_s)?,
            // The list is carried by hand: it holds until the authority ends.
            next_update: moment(self.expires_unix_s)?,
            crl_number: SerialNumber::from(count as u64),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(self.issuer()).and_then(|list| list.pem()).map_err(|error| making(&error))?;
        exchange(&path, &list).map_err(|source| PkiError::File { path, source })?;
        Ok(count)
    }

    /// The serial number of a certificate of this authority.
    fn serial_of(&self, path: &Path) -> Result<SerialNumber, PkiError> {
        let not_ours = || PkiError::NotOurs { path: path.to_owned() };
        let own = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|_| not_ours())?;
        let (_, own) = X509Certificate::from_der(&own).map_err(|_| not_ours())?;
        let text = std::fs::read(path).map_err(|source| PkiError::File { path: path.to_owned(), source })?;
        let der = CertificateDer::from_pem_slice(&text).map_err(|_| not_ours())?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| not_ours())?;
        // Each authority has a name of its own; whether it signed this one is for those who believe the list.
        if certificate.issuer().as_raw() != own.subject().as_raw() || certificate.is_ca() {
            return Err(not_ours());
        }
        Ok(SerialNumber::from_slice(certificate.raw_serial()))
    }
}

fn moment(unix_s: u64) -> Result<OffsetDateTime, PkiError> {
    let moment = i64::try_from(unix_s).ok().and_then(|unix_s| OffsetDateTime::from_unix_timestamp(unix_s).ok());
    moment.ok_or(PkiError::Days)
}

fn read_list(path: &Path) -> Result<Vec<RevokedCertParams>, PkiError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(PkiError::File { path: path.to_owned(), source }),
    };
    let no_list = || PkiError::NoList { path: path.to_owned(), beside: CERTIFICATE };
    let der = CertificateRevocationListDer::from_pem_slice(&text).map_err(|_| no_list())?;
    let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| no_list())?;
    let revoked = list.iter_revoked_certificates().map(|revoked| RevokedCertParams {
        serial_number: SerialNumber::from_slice(revoked.raw_serial()),
        revocation_time: revoked.revocation_date.to_datetime(),
        reason_code: Some(RevocationReason::Unspecified),
        invalidity_date: None,
    });
    Ok(revoked.collect())
}

fn exchange(path: &Path, content: &str) -> std::io::Result<()> {
    let aside = path.with_extension("crl.tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&aside)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::super::Order;
    use super::*;

    const NOW: u64 = 1_795_316_400;

    #[test]
    fn a_list_grows_by_each_certificate_once_and_takes_none_of_another_authority() {
        let directory = tempfile::tempdir().unwrap();
        let site = SiteAuthority::create(&directory.path().join("one"), "a site", 100, NOW).unwrap();
        let other = SiteAuthority::create(&directory.path().join("two"), "a site", 100, NOW).unwrap();
        let order = Order { name: "north".to_owned(), uri: "urn:shikaku:replica:north".to_owned(), hosts: Vec::new(), days: 9 };
        let file = |name: &str, authority: &SiteAuthority| {
            let path = directory.path().join(name);
            std::fs::write(&path, authority.issue(&order, NOW).unwrap().certificate).unwrap();
            path
        };
        let (north, south, stranger) = (file("north", &site), file("south", &site), file("stranger", &other));
        let ca = directory.path().join("one");
        for (certificate, expected) in [(&north, 1), (&south, 2), (&north, 2)] {
            assert_eq!(site.revoke(&ca, certificate, NOW).unwrap(), expected);
        }
        for wrong in [&stranger, &ca.join(CERTIFICATE)] {
            assert!(matches!(site.revoke(&ca, wrong, NOW), Err(PkiError::NotOurs { .. })));
        }
        std::fs::write(ca.join(LIST), "no list").unwrap();
        assert!(matches!(site.revoke(&ca, &north, NOW), Err(PkiError::NoList { .. })), "what cannot be read is not begun anew");
    }
}
