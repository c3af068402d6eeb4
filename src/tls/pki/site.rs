//! The authority of a site, and what it signs.

use std::net::IpAddr;
use std::path::Path;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, DnsName};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{NewFile, PkiError, write_new};
use crate::limits::PKI_CLOCK_LEEWAY_S;
use crate::tls::PeerCertificate;

/// The authority's certificate: everybody of the site has it.
pub(super) const CERTIFICATE: &str = "ca.crt";
/// Its key: whoever has it can be anybody.
pub(super) const KEY: &str = "ca.key";

/// `serialNumber` in a name (X.520).
const SERIAL_NUMBER_OID: [u64; 4] = [2, 5, 4, 5];

/// A site's authority.
#[derive(Debug)]
pub struct SiteAuthority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub certificate: String,
    /// From when on it is no longer valid, seconds since 1970.
    pub expires_unix_s: u64,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Order {
    /// What a person reads in it.
    pub name: String,
    /// Who it is for, as a URI.
    pub uri: String,
    /// The names and addresses under which it is called; without any it is a client's only.
    pub hosts: Vec<String>,
    /// How long it is valid, days.
    pub days: u32,
}

/// A certificate that was signed.
#[derive(Debug)]
pub struct Signed {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// The BLAKE3 of its DER form.
    pub fingerprint: [u8; 32],
    /// The day on which it ends, in UTC.
    pub last_day: String,
}

impl SiteAuthority {
    /// Makes an authority and writes it into a directory that has none.
    pub fn create(directory: &Path, name: &str, days: u32, now_unix_s: u64) -> Result<SiteAuthority, PkiError> {
        let key = KeyPair::generate().map_err(|error| making(&error))?;
        let mut params = params(name, days, now_unix_s)?;
        // Two authorities are two names, even where people call them alike: whoever meets the wrong one says so.
        let serial = params.serial_number.as_ref().map(SerialNumber::to_string).unwrap_or_default();
        params.distinguished_name.push(DnType::CustomDnType(SERIAL_NUMBER_OID.to_vec()), serial);
        // It signs ends, and no authority below it.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(|error| making(&error))?.pem();
        let files = [
            NewFile { name: CERTIFICATE.to_owned(), content: certificate.clone(), is_secret: false },
            NewFile { name: KEY.to_owned(), content: key.serialize_pem(), is_secret: true },
        ];
        write_new(directory, &files)?;
        SiteAuthority::of(certificate, key).map_err(|why| PkiError::NoAuthority { directory: directory.to_owned(), why })
    }

    /// Reads the authority of a directory.
    pub fn read(directory: &Path) -> Result<SiteAuthority, PkiError> {
        let text = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).map_err(|source| PkiError::File { path, source })
        };
        let (certificate, key) = (text(CERTIFICATE)?, text(KEY)?);
        let no_authority = |why: String| PkiError::NoAuthority { directory: directory.to_owned(), why };
        let key = KeyPair::from_pem(&key).map_err(|_| no_authority(format!("{KEY} holds no key of a kind that is used")))?;
        SiteAuthority::of(certificate, key).map_err(no_authority)
    }

    fn of(certificate: String, key: KeyPair) -> Result<SiteAuthority, String> {
        use rustls::pki_types::pem::PemObject;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| format!("{CERTIFICATE} holds none"))?;
        let read = PeerCertificate::read(&der).ok_or_else(|| format!("{CERTIFICATE} holds none"))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| format!("{CERTIFICATE} holds none"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(format!("{KEY} is another certificate's"));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| error.to_string())?;
        Ok(SiteAuthority { issuer, certificate, expires_unix_s: read.expires_unix_s })
    }

    pub(super) const fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Signs a certificate and makes its key. One with host names serves and calls, one without only calls.
    pub fn issue(&self, order: &Order, now_unix_s: u64) -> Result<Signed, PkiError> {
        let key = KeyPair::generate().map_err(|error| making(&error))?;
        let mut params = params(&order.name, order.days, now_unix_s)?;
        let authority_end = i64::try_from(self.expires_unix_s).unwrap_or(i64::MAX);
        if params.not_after.unix_timestamp() > authority_end {
            let end = OffsetDateTime::from_unix_timestamp(authority_end).map_err(|_| PkiError::Days)?;
            return Err(PkiError::OutlivesAuthority { end: end.date().to_string() });
        }
        params.subject_alt_names = vec![SanType::URI(ia5(&order.uri)?)];
        for host in &order.hosts {
            params.subject_alt_names.push(host_name(host)?);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !order.hosts.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        let last_day = params.not_after.date().to_string();
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| making(&error))?;
        let fingerprint = *blake3::hash(certificate.der()).as_bytes();
        Ok(Signed { certificate: certificate.pem(), key: key.serialize_pem(), fingerprint, last_day })
    }
}

pub(super) fn making(error: &rcgen::Error) -> PkiError {
    PkiError::Making(error.to_string())
}

/// What an authority and the certificates it signs have in common.
fn params(name: &str, days: u32, now_unix_s: u64) -> Result<CertificateParams, PkiError> {
    let now =
        i64::try_from(now_unix_s).ok().and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok()).ok_or(PkiError::Days)?;
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| PkiError::Random(error.to_string()))?;
    // A positive number of full length, whatever chance says.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = now - Duration::seconds(PKI_CLOCK_LEEWAY_S);
    params.not_after = now.checked_add(Duration::days(days.into())).ok_or(PkiError::Days)?;
    Ok(params)
}

fn host_name(host: &str) -> Result<SanType, PkiError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    DnsName::try_from(host).map_err(|_| PkiError::Host(host.to_owned()))?;
    Ok(SanType::DnsName(ia5(host)?))
}

fn ia5(text: &str) -> Result<Ia5String, PkiError> {
    Ia5String::try_from(text).map_err(|error| making(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_316_400;

    fn order(hosts: &[&str], days: u32) -> Order {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Order { name: "hub".to_owned(), uri: "urn:shikaku:replica:hub".to_owned(), hosts, days }
    }

    #[test]
    fn an_authority_is_read_back_and_signs_what_says_who_it_is_for() {
        use rustls::pki_types::pem::PemObject;
        let directory = tempfile::tempdir().unwrap();
        let made = SiteAuthority::create(directory.path(), "a site", 100, NOW).unwrap();
        let read = SiteAuthority::read(directory.path()).unwrap();
        assert_eq!((&made.certificate, made.expires_unix_s), (&read.certificate, NOW + 100 * 86_400));
        let signed = read.issue(&order(&["hub.example", "127.0.0.1"], 100), NOW).unwrap();
        let der = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap();
        let peer = PeerCertificate::read(&der).unwrap();
        assert_eq!(peer.uris, ["urn:shikaku:replica:hub"]);
        assert_eq!((peer.fingerprint, peer.expires_unix_s), (signed.fingerprint, NOW + 100 * 86_400));
        // No two are the same, and nothing outlives who signed it.
        assert_ne!(read.issue(&order(&[], 9), NOW).unwrap().fingerprint, read.issue(&order(&[], 9), NOW).unwrap().fingerprint);
        assert!(matches!(read.issue(&order(&[], 101), NOW), Err(PkiError::OutlivesAuthority { .. })));
        assert!(matches!(read.issue(&order(&["not a host"], 9), NOW), Err(PkiError::Host(_))));
        assert!(matches!(SiteAuthority::create(directory.path(), "another", 100, NOW), Err(PkiError::Exists { .. })));
        assert_eq!(SiteAuthority::read(directory.path()).unwrap().certificate, made.certificate);
    }

    #[test]
    fn a_directory_with_another_key_or_none_is_no_authority() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(SiteAuthority::read(directory.path()), Err(PkiError::File { .. })));
        SiteAuthority::create(directory.path(), "a site", 100, NOW).unwrap();
        std::fs::write(directory.path().join(KEY), "no key").unwrap();
        let error = SiteAuthority::read(directory.path()).unwrap_err();
        assert!(matches!(error, PkiError::NoAuthority { .. }), "{error}");
        SiteAuthority::create(&directory.path().join("other"), "another", 100, NOW).unwrap();
        std::fs::copy(directory.path().join("other").join(KEY), directory.path().join(KEY)).unwrap();
        let error = SiteAuthority::read(directory.path()).unwrap_err();
        assert!(matches!(error, PkiError::NoAuthority { .. }), "{error}");
    }
}
