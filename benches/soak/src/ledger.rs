//! What an issuer has published and when, and what follows for a token.
//!
//! All rules are cautious: where the server may have decided before or after an event, both answers are right. A rule
//! that finds a wrong answer is therefore certain of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{keys::Key, windows::Windows};

/// The history of one issuer.
pub(crate) struct Ledger {
    pub(crate) keys: Vec<Published>,
    /// Fetches that were answered with the key set, in the order of their arrival.
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) failed: u32,
    pub(crate) outages: Vec<Outage>,
    /// Since when the tenant is in the table, or is not.
    pub(crate) tenancy: (Instant, bool),
    /// How often it entered the table.
    pub(crate) entries: u32,
    pub(crate) started: Instant,
}

pub(crate) struct Published {
    pub(crate) key: Arc<Key>,
    pub(crate) from: Instant,
    pub(crate) until: Option<Instant>,
    /// Whether another key had its `kid` before.
    pub(crate) is_reused: bool,
}

pub(crate) struct Fetch {
    arrived: Instant,
    /// When the last byte was written. The server may have the set from `arrived` on, and has it after this.
    finished: Option<Instant>,
    keys: Vec<usize>,
}

pub(crate) struct Outage {
    pub(crate) start: Instant,
    pub(crate) end: Option<Instant>,
    /// The longest `Retry-After` of its responses.
    asked: Duration,
}

/// What the response to a token has to be.
pub(crate) enum Verdict {
    MustPass(&'static str),
    MustFail(&'static str),
    Either,
}

impl Ledger {
    pub(crate) fn new(key: Arc<Key>) -> Self {
        let now = Instant::now();
        Self {
            keys: vec![Published { key, from: now, until: None, is_reused: false }],
            fetches: Vec::new(),
            failed: 0,
            outages: Vec::new(),
            tenancy: (now, true),
            entries: 1,
            started: now,
        }
    }

    pub(crate) fn newest(&self) -> usize {
        self.keys.len() - 1
    }

    pub(crate) fn published(&self) -> Vec<usize> {
        (0..self.keys.len()).filter(|index| self.keys[*index].until.is_none()).collect()
    }

    pub(crate) fn publish(&mut self, key: Arc<Key>, is_reused: bool) {
        self.keys.push(Published { key, from: Instant::now(), until: None, is_reused });
    }

    pub(crate) fn withdraw_all_but_newest(&mut self) {
        let (newest, now) = (self.newest(), Instant::now());
        for published in &mut self.keys[..newest] {
            published.until.get_or_insert(now);
        }
    }

    /// Notes that a fetch will be answered with the key set; returns its number.
    pub(crate) fn fetch(&mut self) -> usize {
        let keys = self.published();
        self.fetches.push(Fetch { arrived: Instant::now(), finished: None, keys });
        self.fetches.len() - 1
    }

    pub(crate) fn finish(&mut self, fetch: usize) {
        self.fetches[fetch].finished = Some(Instant::now());
    }

    /// An outage without a successful fetch since the one before continues it: the back-off goes on.
    pub(crate) fn fail(&mut self, asked: Duration) {
        let now = Instant::now();
        let has_recovered = |end: Instant| self.fetches.last().is_some_and(|fetch| fetch.arrived > end);
        match self.outages.last_mut() {
            Some(outage) if outage.end.is_none_or(|end| !has_recovered(end)) => {
                outage.end = None;
                outage.asked = outage.asked.max(asked);
            }
            _ => self.outages.push(Outage { start: now, end: None, asked }),
        }
    }

    pub(crate) fn recover(&mut self) {
        if let Some(outage) = self.outages.last_mut() {
            outage.end.get_or_insert(Instant::now());
        }
    }

    /// What the response must be to a token of this key, which was sent and answered at these times.
    pub(crate) fn verdict(&self, key: usize, windows: &Windows, sent: Instant, answered: Instant) -> Verdict {
        let slack = windows.slack;
        let Published { from, until, is_reused, .. } = self.keys[key];
        let (since, is_tenant) = self.tenancy;
        if !is_tenant {
            return match sent > since + windows.tenant_removed + slack {
                true => Verdict::MustFail("the resolver has not known its issuer for longer than the window"),
                false => Verdict::Either,
            };
        }
        let newest = self.fetches.iter().rev().find(|fetch| fetch.arrived <= answered);
        let Some(newest) = newest else { return Verdict::Either };
        if newest.finished.is_some_and(|finished| sent > finished + windows.stale + slack) {
            return Verdict::MustFail("the last key set is past the stale limit");
        }
        // The instant from which the issuer could be reached; `None` if it cannot be now.
        let reachable = self.reachable(windows, sent, answered);
        if let Some(until) = until {
            let has_fetched = |fetch: &Fetch| {
                fetch.arrived >= until && fetch.finished.is_some_and(|finished| sent > finished + slack)
            };
            if self.fetches.iter().any(has_fetched) {
                return Verdict::MustFail("its key was withdrawn, and the server has fetched the set without it");
            }
            if reachable.is_some_and(|reachable| sent > reachable.max(until + windows.refresh) + slack) {
                return Verdict::MustFail("its key was withdrawn longer ago than the refresh interval");
            }
            return Verdict::Either;
        }
        if from > sent || sent < since + windows.tenant_added + slack {
            return Verdict::Either;
        }
        let is_in_use = |fetch: &Fetch| {
            fetch.keys.contains(&key)
                && fetch
                    .finished
                    .is_some_and(|finished| sent > finished + slack && answered + slack < finished + windows.stale)
        };
        // A key that was published once stays published until it is withdrawn, so every later set has it too. A tenant
        // that enters the table again may begin without keys.
        let after_entry = |fetch: &&Fetch| self.entries == 1 || fetch.arrived > since;
        if self.fetches.iter().filter(after_entry).any(is_in_use) {
            return Verdict::MustPass("the server has fetched a set with its key");
        }
        let (window, reason) = match is_reused {
            true => (windows.reused_kid, "its key replaced another under the same kid longer ago than the window"),
            false => (windows.unknown_kid, "its key was published longer ago than the window of an unknown kid"),
        };
        let start = from.max(since + windows.tenant_added);
        match reachable {
            Some(reachable) if sent > reachable.max(start) + window + slack => Verdict::MustPass(reason),
            _ => Verdict::Either,
        }
    }

    /// Whether a 503 is right for a token whose key the server may not have.
    pub(crate) fn may_be_unavailable(&self, windows: &Windows, sent: Instant, answered: Instant) -> bool {
        let has_set = |fetch: &Fetch| fetch.finished.is_some_and(|finished| sent > finished + windows.slack);
        let is_recovered = |end: Instant| sent > end + windows.slack;
        self.reachable(windows, sent, answered).is_none_or(|reachable| !is_recovered(reachable))
            || !self.fetches.iter().any(has_set)
    }

    /// The instant from which the server could fetch; `None` if the issuer fails between these times.
    fn reachable(&self, windows: &Windows, sent: Instant, answered: Instant) -> Option<Instant> {
        let Some(outage) = self.outages.iter().rev().find(|outage| outage.start <= answered) else {
            return Some(self.started);
        };
        let end = outage.end.filter(|end| *end <= sent)?;
        let before = self.fetches.iter().rev().find(|fetch| fetch.arrived < outage.start);
        let has_keys = before.and_then(|fetch| fetch.finished).is_some_and(|finished| finished + windows.stale > end);
        Some(end + windows.backoff(end - outage.start, outage.asked, has_keys))
    }

    /// What is wrong with the number of fetches so far.
    pub(crate) fn overspent(&self, windows: &Windows) -> Option<String> {
        let (succeeded, failed) = (count(self.fetches.len()), f64::from(self.failed));
        let (successes, failures) = (self.allowed_successes(windows), self.allowed_failures(windows));
        if succeeded > successes {
            return Some(format!("{succeeded} successful fetches, where the budgets allow {successes:.1}"));
        }
        (failed > failures).then(|| format!("{failed} failed fetches, where the back-off allows {failures:.1}"))
    }

    pub(crate) fn allowed_successes(&self, windows: &Windows) -> f64 {
        windows.successes(self.started.elapsed(), self.entries)
    }

    pub(crate) fn allowed_failures(&self, windows: &Windows) -> f64 {
        let now = Instant::now();
        let of_outage = |outage: &Outage| {
            let end = outage.end.unwrap_or(now);
            let before = self.fetches.iter().rev().find(|fetch| fetch.arrived < outage.start);
            let stale_at = before.and_then(|fetch| fetch.finished).map_or(outage.start, |at| at + windows.stale);
            windows.failures(end - outage.start, end.saturating_duration_since(stale_at.max(outage.start)))
        };
        self.outages.iter().map(of_outage).fold(0.0, |sum, more| sum + more)
    }
}

pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
