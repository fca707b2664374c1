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
