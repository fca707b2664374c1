//! How large a response header may be where a peer is dialled, and what lets it be larger.
//!
//! `ngx_http_proxy_module.c` and its kin, `*_merge_loc_conf`: the header has to fit into one `*_buffer_size`; the sizes of
//! the other buffers depend on it, and nginx refuses a configuration in which they do not agree.

use bstr::ByteSlice as _;
use conf::{Model, Protocol};
use facts::{Exhibit, Gap, ProbeRequest};

use super::config::{Drift, Site, span};
use super::edits::set_at_pass;
use super::{Case, known};
use crate::incident::Incident;
use crate::verdict::Step;

/// A page of memory on most machines.
const USUAL_PAGE: u64 = 4096;
/// What suffices for most headers that do not fit into a page.
const ROOMY: u64 = 16 << 10;
/// With fewer buffers than this, none is left to be busy.
const FEWEST_BUFFERS: u64 = 4;

/// The buffer for a response header where a peer is dialled.
pub(crate) struct HeaderBuffer {
    /// The directive.
    pub(crate) name: String,
    /// Its size in force, for people.
    pub(crate) text: String,
    /// Where it is set, or that it is not.
    pub(crate) exhibit: Exhibit,
    /// The size to set, for people.
    pub(crate) larger: String,
    /// The edits that set it, and what else has to be changed with it.
    pub(crate) edits: Vec<Step>,
}

/// The sizes that nginx checks against each other; `None` for what is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    header: u64,
    count: u64,
    each: u64,
    busy: Option<u64>,
    temp_write: Option<u64>,
    temp_max: Option<u64>,
}

impl Sizes {
    /// The same with room for a larger header, so that nginx takes it.
    fn with_header(self, header: u64) -> Self {
        let mut new = Self { header, ..self };
        let largest = header.max(new.each);
        let room = new.count.saturating_sub(1) * new.each;
        new.busy = match new.busy {
            None if 2 * largest <= room => None,
            None if largest <= room => Some(largest),
            None => None,
            Some(busy) => Some(busy.max(largest)),
        };
        // Without a size of its own it is twice the largest.
        if new.busy.unwrap_or(2 * largest) > room {
            let needed = new.busy.unwrap_or(0).div_ceil(header) + 1;
            let same = (self.count * self.each).div_ceil(header);
            new.each = header;
            new.count = needed.max(same).max(FEWEST_BUFFERS);
        }
        let largest = new.header.max(new.each);
        new.temp_write = new.temp_write.map(|size| size.max(largest));
        new.temp_max = new
            .temp_max
            .map(|size| if size == 0 { 0 } else { size.max(largest) });
        new
    }
}

impl Case {
    /// The buffers for the response header in the failing servers, one a pass; empty when the workers may run others.
    pub(crate) fn header_buffers(&self, incident: &Incident) -> Result<Vec<HeaderBuffer>, Gap> {
        if let Some(Drift::Changed { .. }) = known(self.drift(incident.instance))? {
            return Ok(Vec::new());
        }
        let configured = self.configured(incident.instance)?;
        let page = self.page_size()?;
        let sites = self.asked_sites(incident)?;
        Ok(sites
            .iter()
            .filter_map(|site| header_buffer(&configured.model, site, page))
            .collect())
    }

    fn page_size(&self) -> Result<u64, Gap> {
        let request = ProbeRequest::host_file("/proc/self/auxv");
        let size = known(
            self.evidence
                .fact(&request, |_, bytes| facts::process::page_size(bytes)),
        )?;
        Ok(size.and_then(|size| *size).unwrap_or(USUAL_PAGE))
    }
}

/// What the directives of a protocol begin with.
fn module(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Http | Protocol::Https => Some("proxy"),
        Protocol::Fastcgi => Some("fastcgi"),
        Protocol::Uwsgi | Protocol::Suwsgi => Some("uwsgi"),
        Protocol::Scgi => Some("scgi"),
        Protocol::Grpc | Protocol::Grpcs => Some("grpc"),
        Protocol::Memcached => Some("memcached"),
        Protocol::Stream => None,
    }
}

fn header_buffer(model: &Model, site: &Site, page: u64) -> Option<HeaderBuffer> {
    let module = module(site.protocol)?;
    let name = format!("{module}_buffer_size");
    let size_of = |setting: &str, idx: usize| {
        let at = *model
            .in_force(site.context, &format!("{module}_{setting}"))
            .last()?;
        conf::units::parse_size(model.arg(at, idx)?)
    };
    let set = model.value_in_force(site.context, &name);
    let sizes = Sizes {
        header: size_of("buffer_size", 0).unwrap_or(page),
        count: model
            .value_in_force(site.context, &format!("{module}_buffers"))
            .and_then(|(count, _)| count.to_str().ok()?.parse().ok())
            .unwrap_or(8),
        each: size_of("buffers", 1).unwrap_or(page),
        busy: size_of("busy_buffers_size", 0),
        temp_write: size_of("temp_file_write_size", 0),
        temp_max: size_of("max_temp_file_size", 0),
    };
    let new = sizes.with_header((2 * sizes.header).next_power_of_two().max(ROOMY));
    // gRPC and memcached have no further buffers.
    let has_buffers = !matches!(module, "grpc" | "memcached");
    let mut changes = vec![(name.clone(), written(new.header))];
    let further = [
        (
            "buffers",
            (new.count, new.each) != (sizes.count, sizes.each),
            format!("{} {}", new.count, written(new.each)),
        ),
        (
            "busy_buffers_size",
            new.busy != sizes.busy,
            written(new.busy.unwrap_or(0)),
        ),
        (
            "temp_file_write_size",
            new.temp_write != sizes.temp_write,
            written(new.temp_write.unwrap_or(0)),
        ),
        (
            "max_temp_file_size",
            new.temp_max != sizes.temp_max,
            written(new.temp_max.unwrap_or(0)),
        ),
    ];
    for (setting, changed, value) in further {
        if changed && has_buffers {
            changes.push((format!("{module}_{setting}"), value));
        }
    }
    let (text, exhibit) = if let Some((value, at)) = set {
        (
            value.to_string(),
            Exhibit::Config(span(model, at, Some(0))?),
        )
    } else {
        let text = written(sizes.header);
        let said = format!("{name} is not set there: it is one page of memory, {text}");
        let probe = "config";
        (
            text,
            Exhibit::Record {
                probe,
                at: None,
                text: said,
            },
        )
    };
    Some(HeaderBuffer {
        name,
        text,
        exhibit,
        larger: written(new.header),
        edits: set_at_pass(model, site.context, &changes)?,
    })
}

/// A size as nginx reads it.
fn written(size: u64) -> String {
    match size {
        size if size > 0 && size % (1 << 20) == 0 => format!("{}m", size >> 20),
        size if size > 0 && size % (1 << 10) == 0 => format!("{}k", size >> 10),
        size => size.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checks of `ngx_http_proxy_merge_loc_conf`.
    fn is_taken(sizes: Sizes) -> bool {
        let largest = sizes.header.max(sizes.each);
        let busy = sizes.busy.unwrap_or(2 * largest);
        sizes.count >= 2
            && busy >= largest
            && busy <= (sizes.count - 1) * sizes.each
            && sizes.temp_write.is_none_or(|size| size >= largest)
            && sizes
                .temp_max
                .is_none_or(|size| size == 0 || size >= largest)
    }

    #[test]
    fn whatever_nginx_took_it_takes_with_a_larger_header() {
        const SIZES: [u64; 7] = [
            1 << 10,
            4 << 10,
            8 << 10,
            12_000,
            16 << 10,
            64 << 10,
            256 << 10,
        ];
        let maybe = || [None].into_iter().chain(SIZES.into_iter().map(Some));
        let mut taken = 0;
        for header in SIZES {
            for count in [2, 3, 4, 8, 16, 256] {
                for each in SIZES {
                    for (busy, temp) in
                        maybe().flat_map(|busy| maybe().map(move |temp| (busy, temp)))
                    {
                        let temp_max = temp.or(Some(0));
                        let sizes = Sizes {
                            header,
                            count,
                            each,
                            busy,
                            temp_write: temp,
                            temp_max,
                        };
                        if !is_taken(sizes) {
                            continue;
                        }
                        taken += 1;
                        for larger in SIZES.into_iter().filter(|&larger| larger > header) {
                            let new = sizes.with_header(larger);
                            assert_eq!(new.header, larger);
                            assert!(is_taken(new), "{sizes:?} became {new:?}");
                        }
                    }
                }
            }
        }
        assert!(taken > 1000);
    }

    #[test]
    fn as_little_as_possible_is_changed() {
        let default = Sizes {
            header: 4096,
            count: 8,
            each: 4096,
            busy: None,
            temp_write: None,
            temp_max: None,
        };
        assert_eq!(
            default.with_header(8 << 10),
            Sizes {
                header: 8 << 10,
                ..default
            }
        );
        let busy = Some(16 << 10);
        assert_eq!(
            default.with_header(16 << 10),
            Sizes {
                header: 16 << 10,
                busy,
                ..default
            }
        );
        let wide = Sizes {
            header: 32 << 10,
            count: 4,
            each: 32 << 10,
            ..default
        };
        assert_eq!(default.with_header(32 << 10), wide);
    }

    #[test]
    fn a_size_is_written_as_nginx_reads_it() {
        for (size, text) in [
            (0, "0"),
            (1000, "1000"),
            (4096, "4k"),
            (1 << 20, "1m"),
            (12_288, "12k"),
        ] {
            assert_eq!(written(size), text);
            assert_eq!(conf::units::parse_size(text.as_bytes()), Some(size));
        }
    }
}
