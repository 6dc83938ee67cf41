//! Instances that a resolver knows, looked up by issuer and kept for a while.

mod book;

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Sleep;

use self::book::{Asking, Book, Call};
use super::{
    instance::{Shared, Trusted},
    resolver::InstanceResolver,
};
use crate::{
    config::IssuerUrl,
    jwks::{FetchErrorKind, in_time, timer},
};

/// Dropping it stops the calls of the resolver.
pub(in crate::verify) struct Directory {
    book: Arc<Book>,
}

/// What is known of an issuer now.
pub(in crate::verify) enum Resolution {
    Failed(FetchErrorKind),
    Known(Arc<Trusted>),
    Unknown,
    Wait(ResolutionWait),
}

/// Waiting for the resolver.
pub(crate) struct ResolutionWait {
    book: Arc<Book>,
    call: Call,
    issuer: IssuerUrl,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone)]
pub(in crate::verify) enum Answer {
    Failed(FetchErrorKind),
    Known(Arc<Trusted>),
    Unknown,
}

impl Directory {
    pub(in crate::verify) fn new(
        resolver: Arc<dyn InstanceResolver>,
        shared: Arc<Shared>,
        local_issuers_are_allowed: bool,
    ) -> Self {
        Self { book: Arc::new(Book::new(resolver, shared, local_issuers_are_allowed)) }
    }

    /// Looks up an issuer of which nothing is believed.
    pub(in crate::verify) fn look_up(&self, issuer: &str) -> Resolution {
        let book = &self.book;
        let Some(issuer) = IssuerUrl::parse(issuer, book.local_issuers_are_allowed) else {
            return Resolution::Unknown;
        };
        let now = book.now();
        if let Some(known) = book.known(&issuer, now) {
            if known.is_due(now) {
                // Whether that succeeds is of no matter to this request.
                let _ = Book::call(book, &issuer, now, Asking::Again);
            }
            return Resolution::Known(Arc::clone(&known.trusted));
        }
        if book.is_stranger(&issuer, now) {
            return Resolution::Unknown;
        }
        let call = match Book::call(book, &issuer, now, Asking::Anew) {
            Ok(call) => call,
            Err(resolution) => return resolution,
        };
        let Some(timer) = timer(DEADLINE + GRACE) else { return Resolution::Failed(FetchErrorKind::NoRuntime) };
        if book.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            book.waiting.fetch_sub(1, Ordering::Relaxed);
            return Resolution::Failed(FetchErrorKind::TooManyWaiting);
        }
        Resolution::Wait(ResolutionWait { book: Arc::clone(book), call, issuer, timer })
    }

    /// The instances that were resolved and are not forgotten.
    pub(in crate::verify) fn resolved(&self) -> Vec<Arc<Trusted>> {
        self.book.all_known()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.book.close();
    }
}

impl ResolutionWait {
    pub(in crate::verify) async fn ended(mut self) -> Answer {
        match in_time(&mut self.call.answer, self.timer.as_mut()).await {
            Some(Some(answer)) => answer,
            // Its task has panicked or was stopped.
            Some(None) => Answer::Failed(FetchErrorKind::Panicked),
            None => Answer::Failed(FetchErrorKind::Timeout),
        }
    }
}

impl Drop for ResolutionWait {
    fn drop(&mut self) {
        self.book.waiting.fetch_sub(1, Ordering::Relaxed);
        // On a runtime that no one drives a call never ends by itself.
        if self.timer.is_elapsed() {
            self.book.give_up(&self.issuer, &self.call);
        }
    }
}

/// Instances, and as many issuers that are none.
pub(in crate::verify) const MAX_RESOLVED: usize = 10_000;
/// Requests waiting for the resolver at once.
const MAX_WAITING: usize = 16_384;
const DEADLINE: Duration = Duration::from_secs(2);
/// How much longer than a call may take a request waits for it.
const GRACE: Duration = Duration::from_millis(500);
