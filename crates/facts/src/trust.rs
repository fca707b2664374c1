//! Whether a peer's certificates lead to one that is trusted, as OpenSSL finds it for nginx (`X509_verify_cert` with its
//! defaults): no revocation list, no partial chain, a path that ends in a certificate that signed itself.
//!
//! What cannot be decided here is said so, and is never taken for a fault.

use jiff::Timestamp;
use x509_parser::error::X509Error;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// OpenSSL rejects it.
    Rejected {
        /// Its number (`openssl/x509_vfy.h`).
        code: u32,
        /// Its words.
        text: &'static str,
    },
    /// It could not be decided.
    Undecided(String),
}

const UNKNOWN_ISSUER: Fault = rejected(20, "unable to get local issuer certificate");
const MOST_LINKS: usize = 12;

const fn rejected(code: u32, text: &'static str) -> Fault {
    Fault::Rejected { code, text }
}

/// Checks the certificates that a peer showed (DER, its own first) against a file of trusted ones (PEM). No more than
/// `depth` certificates may stand between its own and a trusted root.
///
/// # Errors
/// Where they are rejected, or that cannot be decided.
pub fn verify(
    shown: &[Vec<u8>],
    trusted: &[u8],
    now: Timestamp,
    depth: usize,
) -> Result<(), Fault> {
    let pems: Vec<Vec<u8>> = Pem::iter_from_buffer(trusted)
        .filter_map(Result::ok)
        .filter(|pem| pem.label.ends_with("CERTIFICATE"))
        .map(|pem| pem.contents)
        .collect();
    let trusted: Vec<X509Certificate<'_>> = pems.iter().filter_map(|der| read(der)).collect();
    let shown: Vec<X509Certificate<'_>> = shown.iter().filter_map(|der| read(der)).collect();
    let Some(own) = shown.first() else {
        return Err(Fault::Undecided(
            "it showed none that can be read".to_owned(),
        ));
    };
    let path = path(own, &shown, &trusted)?;
    if path.len().saturating_sub(2) > depth {
        return Err(rejected(22, "certificate chain too long"));
    }
    for certificate in &path {
        let validity = certificate.validity();
        if now.as_second() < validity.not_before.timestamp() {
            return Err(rejected(9, "certificate is not yet valid"));
        }
        if now.as_second() > validity.not_after.timestamp() {
            return Err(rejected(10, "certificate has expired"));
        }
    }
    Ok(())
}

fn read(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, read)| read)
}

/// The certificates from the peer's own to a trusted root: of each the issuer is looked for among the trusted first.
fn path<'a>(
    own: &'a X509Certificate<'a>,
    shown: &'a [X509Certificate<'a>],
    trusted: &'a [X509Certificate<'a>],
) -> Result<Vec<&'a X509Certificate<'a>>, Fault> {
    let mut path = vec![own];
    let mut last = own;
    while path.len() < MOST_LINKS {
        let is_trusted = trusted.iter().any(|other| other.as_ref() == last.as_ref());
        if signed(last, last)? {
            return match (is_trusted, path.len()) {
                (true, _) => Ok(path),
                (false, 1) => Err(rejected(18, "self-signed certificate")),
                (false, _) => Err(rejected(19, "self-signed certificate in certificate chain")),
            };
        }
        let mut found = None;
        for candidate in trusted.iter().chain(shown) {
            if found.is_none() && candidate.as_ref() != last.as_ref() && signed(candidate, last)? {
                found = Some(candidate);
            }
        }
        let Some(issuer) = found else {
            return Err(UNKNOWN_ISSUER);
        };
        if issuer.version().0 >= 2 && !issuer.is_ca() {
            return Err(rejected(79, "invalid CA certificate"));
        }
        path.push(issuer);
        last = issuer;
    }
    Err(rejected(22, "certificate chain too long"))
}

/// Whether one certificate signed another, by name and by signature.
fn signed(issuer: &X509Certificate<'_>, of: &X509Certificate<'_>) -> Result<bool, Fault> {
    if issuer.subject().as_raw() != of.issuer().as_raw() {
        return Ok(false);
    }
    match of.verify_signature(Some(issuer.public_key())) {
        Ok(()) => Ok(true),
        Err(X509Error::SignatureVerificationError) => Ok(false),
        Err(other) => Err(Fault::Undecided(format!(
            "its signature is of a kind that is not checked here ({other})"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;

    const NOW: &str = "2026-06-23T14:05:00Z";

    struct Made {
        certificate: Certificate,
        params: CertificateParams,
        key: KeyPair,
    }

    impl Made {
        fn der(&self) -> Vec<u8> {
            self.certificate.der().to_vec()
        }

        fn pem(&self) -> Vec<u8> {
            self.certificate.pem().into_bytes()
        }
    }

    fn params(name: &str, is_ca: bool) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    fn own(params: CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Made {
            certificate,
            params,
            key,
        }
    }

    fn by(issuer: &Made, params: CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let signer = Issuer::from_params(&issuer.params, &issuer.key);
        let certificate = params.signed_by(&key, &signer).unwrap();
        Made {
            certificate,
            params,
            key,
        }
    }

    fn code(shown: &[&Made], trusted: &[&Made], depth: usize) -> Option<u32> {
        let shown: Vec<Vec<u8>> = shown.iter().map(|made| made.der()).collect();
        let trusted: Vec<u8> = trusted.iter().flat_map(|made| made.pem()).collect();
        match verify(&shown, &trusted, NOW.parse().unwrap(), depth) {
            Ok(()) => None,
            Err(Fault::Rejected { code, .. }) => Some(code),
            Err(Fault::Undecided(why)) => panic!("{why}"),
        }
    }

    #[test]
    fn a_path_to_a_trusted_root_is_found_and_nothing_else() {
        let root = own(params("root", true));
        let between = by(&root, params("between", true));
        let leaf = by(&between, params("leaf", false));
        assert_eq!(code(&[&leaf, &between], &[&root], 1), None);
        assert_eq!(code(&[&leaf], &[&root, &between], 1), None);
        assert_eq!(code(&[&leaf], &[&root], 1), Some(20));
        // No partial chain.
        assert_eq!(code(&[&leaf], &[&between], 1), Some(20));
        assert_eq!(code(&[&leaf, &between, &root], &[&leaf], 1), Some(19));
        assert_eq!(code(&[&leaf, &between], &[&root], 0), Some(22));
    }

    #[test]
    fn one_that_signed_itself_is_trusted_only_by_name() {
        let alone = own(params("alone", false));
        let other = own(params("alone", false));
        assert_eq!(code(&[&alone], &[&alone], 1), None);
        assert_eq!(code(&[&alone], &[&other], 1), Some(18));
        assert_eq!(code(&[&alone], &[], 1), Some(18));
    }

    #[test]
    fn its_time_counts() {
        let root = own(params("root", true));
        let mut old = params("old", false);
        old.not_after = date_time_ymd(2026, 2, 1);
        assert_eq!(code(&[&by(&root, old)], &[&root], 1), Some(10));
        let mut young = params("young", false);
        young.not_before = date_time_ymd(2026, 12, 1);
        assert_eq!(code(&[&by(&root, young)], &[&root], 1), Some(9));
    }

    #[test]
    fn who_may_not_sign_does_not() {
        let root = own(params("root", true));
        let leaf = by(&root, params("leaf", false));
        let false_leaf = by(&leaf, params("shop", false));
        assert_eq!(code(&[&false_leaf, &leaf], &[&root], 5), Some(79));
        // The same name, another key.
        let namesake = own(params("root", true));
        assert_eq!(code(&[&leaf], &[&namesake], 1), Some(20));
    }

    #[test]
    fn what_cannot_be_read_is_no_fault() {
        let now = NOW.parse().unwrap();
        for shown in [vec![], vec![b"junk".to_vec()]] {
            let fault = verify(&shown, b"", now, 1).unwrap_err();
            assert!(matches!(fault, Fault::Undecided(_)));
        }
    }
}
