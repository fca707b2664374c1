//! What applications are told: command lines, variables, files. The first byte chooses the kind; then a command line whose
//! arguments end with NUL, up to a byte 0xff, and the text of every file that it names.
#![no_main]

use std::path::Path;

use facts::application::php_fpm::{self, Config};
use facts::application::{Kind, Settings, SettingsSource};
use facts::container;
use facts::forwarder::Forwarder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&which, rest)) = data.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(which) % Kind::ALL.len()];
    let (words, file) = match rest.iter().position(|&byte| byte == 0xff) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, rest),
    };
    let args: Vec<Vec<u8>> = words.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    let told = String::from_utf8_lossy(words).into_owned();
    let environment: Vec<(String, String)> =
        kind.variables().iter().map(|&name| (name.to_owned(), told.clone())).collect();
    let mut files = Vec::new();
    // A file may name another one; a fixed number of times, as the product reads them.
    for _ in 0..4 {
        let source = SettingsSource { args: &args, environment: &environment, files: &files };
        let settings = Settings::of(kind, &source);
        settings.is_certain("bind");
        files = settings.config_files.iter().map(|path| (path.clone(), Some(file.to_vec()))).collect();
    }
    php_fpm::main_config(&args);
    php_fpm::pool_name(&args);
    let mut config = Config::default();
    config.add(Path::new("/etc/php/8.2/fpm/php-fpm.conf"), file);
    for pool in &config.pools {
        pool.settings();
    }
    php_fpm::ini_value(file, "max_execution_time");
    container::conmon(&args, "4f1c");
    container::docker_root(Some(file));
    Forwarder::parse(&args);
});
