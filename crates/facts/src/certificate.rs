//! What an X.509 certificate says: for which names, from when to when, by whom.

use std::net::IpAddr;

use jiff::Timestamp;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate, as far as it says why a peer is not who it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The names it is for: DNS names, then addresses; the subject's common name where it has neither.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid to.
    pub not_after: Timestamp,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut names: Vec<String> = certificate
            .extensions()
            .iter()
            .filter_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(names),
                _ => None,
            })
            .flat_map(|names| &names.general_names)
            .filter_map(name_of)
            .collect();
        if names.is_empty() {
            let common = certificate.subject().iter_common_name();
            names.extend(common.filter_map(|name| name.as_str().ok().map(str::to_owned)));
        }
        let validity = certificate.validity();
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names,
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
        })
    }

    /// Whether it signed itself, as far as its names tell.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether it is for this name, as nginx compares them (`ngx_ssl_check_host`): a `*` stands for one whole label.
    pub fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| match own.strip_prefix('*') {
            Some(rest) => name
                .find('.')
                .and_then(|at| name.get(at..))
                .is_some_and(|domain| domain.eq_ignore_ascii_case(rest)),
            None => own.eq_ignore_ascii_case(name),
        })
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            16 => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made with OpenSSL 3.0: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj "/O=Shop/CN=app.internal"
    /// -addext "subjectAltName=DNS:app.internal,DNS:*.shop.example,IP:10.0.0.5" -days 1`.
    const DER: &[u8] = include_bytes!("../testdata/certificate.der");

    #[test]
    fn a_certificate_tells_its_names_and_dates() {
        let certificate = Certificate::parse(DER).unwrap();
        assert_eq!(certificate.subject, "O=Shop, CN=app.internal");
        assert!(certificate.is_self_issued());
        assert_eq!(
            certificate.names,
            ["app.internal", "*.shop.example", "10.0.0.5"]
        );
        assert_eq!(
            certificate
                .not_after
                .duration_since(certificate.not_before)
                .as_hours(),
            24
        );
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let certificate = Certificate::parse(DER).unwrap();
        for (name, is_for) in [
            ("app.internal", true),
            ("APP.internal", true),
            ("a.shop.example", true),
            ("a.b.shop.example", false),
            ("shop.example", false),
            ("other.internal", false),
            ("10.0.0.5", true),
        ] {
            assert_eq!(certificate.is_for(name), is_for, "{name}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_is_none() {
        for length in 0..DER.len() {
            assert_eq!(Certificate::parse(&DER[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(der: Vec<u8>, at in 0..DER.len(), byte: u8) {
            Certificate::parse(&der);
            let mut bent = DER.to_vec();
            bent[at] = byte;
            Certificate::parse(&bent);
        }
    }
}
