#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod name {
    pub fn parse_ahosts(_: &[u8]) -> Vec<std::net::IpAddr> {
        Vec::new()
    }
}
pub mod passwd {
    pub struct Names;
    impl Names {
        pub fn parse(_: &[u8]) -> Self {
            Self
        }
        pub fn name_of(&self, _: u32) -> Option<&str> {
            None
        }
    }
}
pub mod zone {
    pub fn from_tzif(_: &[u8]) -> Option<jiff::tz::TimeZone> {
        None
    }
    pub fn from_variable(_: &str) -> Option<jiff::tz::TimeZone> {
        None
    }
}
