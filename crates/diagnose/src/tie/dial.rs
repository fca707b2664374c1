//! The fix of every mismatch: nginx dials where the application listens. Says how, never whether.

use std::net::{IpAddr, SocketAddr};

use facts::{Gap, PeerAddress};

use super::{Place, Tied};
use crate::case::{Case, Site};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Fix, Safety, Step};

/// The fix of every mismatch: make nginx dial where the application listens.
pub(super) fn dial_instead(incident: &Incident, case: &Case, tied: &Tied) -> Result<Vec<Fix>, Gap> {
    let place = dialable(incident, &tied.place);
    let align = Fix {
        summary: format!("bind the application to {}", incident.peer),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice {
            text: format!("make {} listen on {} again", tied.who, incident.peer),
        }],
        verify: None,
    };
    let dial = redial(incident, case, &place)?;
    Ok(dial.into_iter().chain([align]).collect())
}

/// Making nginx dial another place; nothing where no directive holds the address that it dials.
pub(crate) fn redial(incident: &Incident, case: &Case, place: &Place) -> Result<Option<Fix>, Gap> {
    let mut steps: Vec<Step> = case
        .sites(incident)?
        .iter()
        .filter_map(|site| edit(site, place))
        .collect();
    if steps.is_empty() {
        return Ok(case
            .sites(incident)?
            .iter()
            .find_map(|site| by_variable(incident, site, place)));
    }
    steps.extend(case.reload_steps(incident)?);
    Ok(Some(Fix {
        summary: format!("dial {place}"),
        safety: Safety::Unsafe,
        steps,
        verify: Some(AGAIN.to_owned()),
    }))
}

/// Where a variable gives the address, its value for these requests has to change: the directive serves others too.
fn by_variable(incident: &Incident, site: &Site, place: &Place) -> Option<Fix> {
    let text = format!(
        "{}:{}: {} serves other requests too: change only the value (a `map` row, a `set`) that leads to {}, to one that leads to {place}",
        site.span.file.display(),
        site.span.line,
        site.span.text,
        incident.peer
    );
    site.is_variable.then(|| Fix {
        summary: format!("dial {place} where the variable says {}", incident.peer),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice { text }],
        verify: Some(AGAIN.to_owned()),
    })
}

/// The place as something nginx can dial: a wildcard listener is dialled at the address that nginx uses already.
fn dialable(incident: &Incident, place: &Place) -> Place {
    match place {
        Place::Tcp(listener) if listener.ip().is_unspecified() => {
            let ip = match incident.address.as_ref().and_then(PeerAddress::ip) {
                Some(ip) if reachable_as(*listener, ip) => ip,
                _ if listener.is_ipv4() => IpAddr::from([127, 0, 0, 1]),
                _ => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            };
            Place::Tcp(SocketAddr::new(ip, listener.port()))
        }
        place => place.clone(),
    }
}

fn edit(site: &Site, place: &Place) -> Option<Step> {
    let new = site.text_with(place)?;
    Some(Step::Edit {
        file: site.span.file.clone(),
        line: site.span.line,
        old: site.span.text.clone(),
        new,
    })
}

/// Whether a listener on this address would answer on `ip`, were the port the right one.
pub(super) fn reachable_as(listener: SocketAddr, ip: IpAddr) -> bool {
    listener.ip() == ip || (listener.ip().is_unspecified() && (listener.is_ipv6() || ip.is_ipv4()))
}
