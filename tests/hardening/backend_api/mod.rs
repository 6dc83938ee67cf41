//! Asking the Backend API about opaque tokens over a real socket, from a server that misbehaves: which responses say
//! something about a token, where the secret goes, and what becomes of connections.

mod api;
mod bodies;
mod connections;
mod custom_client;
mod deadlines;
mod environment;
mod redirects;
mod requests;
mod retry_after;
mod secrets;
mod statuses;
