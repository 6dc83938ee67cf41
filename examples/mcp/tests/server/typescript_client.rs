//! The client of the official TypeScript SDK goes through the whole flow. It plays its browser itself.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::support::start;

/// With Node 20 and what `npm ci` installs in `tests/typescript`.
#[tokio::test]
#[ignore = "needs Node and npm ci: .ci/mcp runs it"]
async fn it_signs_in_calls_steps_up_and_signs_in_again_at_another_port() {
    let server = start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/typescript");
    let client =
        Command::new("node").arg("client.mjs").arg(&server.url).current_dir(folder).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(60), client).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["tools"], json!(["create_thing", "whoami"]));
    assert_eq!(said["asked"], json!(["profile", "profile things:write", "profile"]));
    assert_eq!(said["before"]["scopes"], json!(["profile"]));
    assert_eq!(said["after"]["scopes"], json!(["profile", "things:write"]));
    assert_eq!(said["before"]["client"], said["after"]["client"]);
    assert_eq!(said["before"], said["later"]);
    assert_eq!(said["thing"], json!({ "name": "lamp", "owner": "user_ada" }));
}
