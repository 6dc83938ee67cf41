//! What the integration tests share. Each test binary includes this folder.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod exchange;
pub(crate) mod grpc;
mod harness;
mod issuers;
mod layers;
pub(crate) mod server;
mod service;
pub(crate) mod sockets;
mod source;
mod tasks;
mod threads;

pub(crate) use self::{
    exchange::{Answer, get, get_path, request, send, send_through, with_body},
    harness::{Harness, Key, Verdict, forged, key, kind_of, stranger, with_header},
    issuers::{
        BAD, bearer, good, header, issuer, numbered_issuer, other_issuer, system_clock_issuer, token, with_member,
    },
    layers::{
        Gate, cold_layer, failing_source, gated_layer, layer, layer_of, layer_with, layer_without_keys, patient,
        verifier,
    },
    service::{BodyError, InnerError, PanickingBody, PanicsUnlessReady, Recorder, Scripted, Seen, whoami},
    source::{GatedSource, Reply},
    tasks::{NANO, at_once, millis, poll_once, runtime, secs, settle, within},
    threads::{HITS, THREADS, verdicts_after},
};
