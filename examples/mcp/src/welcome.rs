//! What the program prints at its start.

use std::time::Duration;

use crate::{Server, tools};

/// Where the server is, and what to try.
#[must_use]
pub fn welcome(server: &Server) -> String {
    let url = server.url();
    let trusted = server.trusted().join(" and ");
    let mut text = format!("MCP server at {url}\nlistens on {}, trusts {trusted}\n", server.address());
    if let Some(issuer) = server.issuer() {
        let token = |scope: &str| issuer.token().claim("scope", scope).lifetime(HOUR).sign();
        let (basic, full) = (token(tools::BASIC), token(&format!("{} {}", tools::BASIC, tools::WRITE)));
        let origin = issuer.url();
        text += &format!(
            "
WARNING: no Clerk instance is configured. An embedded issuer gives tokens of a made-up user to whoever asks, on this
machine. It is for trying this out, never for production: set CLERK_PUBLISHABLE_KEY.

without a token, 401:
  curl -i -X POST {url}
where its challenge leads, 200:
  curl -i {origin}/.well-known/oauth-protected-resource/mcp
with a token that is good for an hour, 200:
  {whoami}
a tool that needs another scope, 403:
  {refused}
the same with that scope, 200:
  {created}
",
            whoami = call(url, &basic, "whoami", "{}"),
            refused = call(url, &basic, "create_thing", r#"{"name":"lamp"}"#),
            created = call(url, &full, "create_thing", r#"{"name":"lamp"}"#),
        );
    } else {
        text += &format!(
            "
Tokens without an audience are accepted, also those for other services of this instance, unless CLERK_OAUTH_AUDIENCE is
set. If the tokens have an audience, set it to {url}
"
        );
    }
    text += &format!(
        "
with a client that signs in by itself:
  claude mcp add --transport http things {url}
  npx @modelcontextprotocol/inspector    and in its page: Streamable HTTP, {url}, Connect
"
    );
    text
}

/// The command that calls a tool.
fn call(url: &str, token: &str, tool: &str, arguments: &str) -> String {
    format!(
        "curl -i {url} -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
         -H 'Accept: application/json, text/event-stream' -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\
         \"params\":{{\"name\":\"{tool}\",\"arguments\":{arguments}}}}}'"
    )
}

const HOUR: Duration = Duration::from_secs(60 * 60);
