//! What the script of the page of logs draws, sorts and filters by: a data block of JSON. It is no format for others.

use diagnose::explain::{Class, While};
use diagnose::logs::{LogIncident, LogReport};
use serde::Serialize;

use super::logs::{cause, peer};
use crate::text::visible;

/// The data block. Times are seconds since 1970 as if local time were UTC; steps are counted from the same moment.
#[derive(Serialize)]
struct Data {
    /// The length of a step in seconds.
    step: i64,
    /// The names of the classes that incidents count in; see [`Classes`].
    classes: Vec<&'static str>,
    /// In the order of the table's rows.
    incidents: Vec<Row>,
    /// Step, requests, and those answered by 5xx.
    access: Vec<(i64, u64, u64)>,
    silences: Vec<(i64, i64)>,
}

/// What an incident is sorted, filtered and drawn by. The fields that the table's headers name are its keys.
#[derive(Serialize)]
struct Row {
    class: usize,
    count: u64,
    failure: &'static str,
    peer: String,
    status: u16,
    first: i64,
    last: i64,
    clients: u64,
    cause: String,
    /// What else the filter looks at, as the page shows it.
    text: String,
    /// For each step with failures: how far it is from the one before, the first from 1970, and its failures. Most are
    /// one step apart, so this is a quarter of what steps themselves take, and timelines are most of the page.
    timeline: Vec<u64>,
}

/// The classes of a report, those with the most failures first: colours are given in this order.
pub(super) struct Classes(Vec<(Class, u64)>);

impl Classes {
    pub(super) fn of(report: &LogReport) -> Self {
        let mut classes: Vec<(Class, u64)> = Vec::new();
        for incident in &report.incidents {
            match classes
                .iter_mut()
                .find(|(class, _)| *class == incident.failure)
            {
                Some((_, count)) => *count = count.saturating_add(incident.count),
                None => classes.push((incident.failure, incident.count)),
            }
        }
        classes.sort_by_key(|(class, count)| (std::cmp::Reverse(*count), *class));
        Self(classes)
    }

    /// Each with its failures.
    pub(super) fn all(&self) -> &[(Class, u64)] {
        &self.0
    }

    /// Its place among the others.
    pub(super) fn rank(&self, class: Class) -> usize {
        let place = self.0.iter().position(|(known, _)| *known == class);
        place.unwrap_or(self.0.len())
    }
}

/// The data block of a report, as JSON.
pub(super) fn json(report: &LogReport, classes: &Classes) -> serde_json::Result<String> {
    let step = report.step.seconds();
    let access = report.access.iter().flat_map(|access| &access.timeline);
    let data = Data {
        step,
        classes: classes
            .all()
            .iter()
            .map(|(class, _)| class.as_str())
            .collect(),
        incidents: report
            .incidents
            .iter()
            .map(|incident| row(incident, classes, step))
            .collect(),
        access: access
            .map(|(at, requests, errors)| (at.seconds().div_euclid(step), *requests, *errors))
            .collect(),
        silences: report
            .silences
            .iter()
            .map(|(from, until)| (from.seconds(), until.seconds()))
            .collect(),
    };
    serde_json::to_string(&data)
}

fn row(incident: &LogIncident, classes: &Classes, step: i64) -> Row {
    let names = incident.servers.iter().chain(&incident.locations);
    let candidates = &incident.candidates;
    let mut told: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    told.extend(incident.upstream.as_deref());
    told.extend(incident.action.map(While::as_str));
    told.extend(
        candidates
            .iter()
            .flat_map(|candidate| [candidate.cause, candidate.why]),
    );
    told.push(&incident.sample);
    let text = told.join(" ");
    let mut before = 0;
    let timeline = incident.timeline.iter().map(|(at, count)| {
        let step = at.seconds().div_euclid(step);
        let distance = step.saturating_sub(before).unsigned_abs();
        before = step;
        [distance, *count]
    });
    let timeline = timeline.flatten().collect();
    Row {
        class: classes.rank(incident.failure),
        count: incident.count,
        failure: incident.failure.as_str(),
        peer: visible(&peer(incident)).into_owned(),
        status: incident.status.unwrap_or(0),
        first: incident.first_seen.seconds(),
        last: incident.last_seen.seconds(),
        clients: incident.clients.count,
        cause: visible(&cause(incident)).into_owned(),
        text: visible(&text).into_owned(),
        timeline,
    }
}
