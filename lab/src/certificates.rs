//! Certificates for the peers of a scenario, made anew for each.

use std::path::PathBuf;

use anyhow::Result;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use crate::lab::Lab;

/// A certificate that signed itself, with its key: files in the lab's directory.
pub struct Certified {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Lab {
    /// A certificate for a name, valid for long.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn certificate(&self, name: &str) -> Result<Certified> {
        self.certified(name, 2100)
    }

    /// A certificate for a name whose time is over.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn expired_certificate(&self, name: &str) -> Result<Certified> {
        self.certified(name, 2021)
    }

    fn certified(&self, name: &str, last_year: i32) -> Result<Certified> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Certified {
            certificate: self.file(&format!("{name}.crt"), &certificate.pem())?,
            key: self.file(&format!("{name}.key"), &key.serialize_pem())?,
        })
    }
}
