// Goes through the OAuth flow of an MCP server with the official SDK, and prints what it was told as JSON:
//
//     node client.mjs http://127.0.0.1:3001/mcp

import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const url = new URL(process.argv[2]);
const callback = "http://localhost:33419/callback";
/** Where it listens at its second start. */
const laterCallback = "http://localhost:33420/callback";
const asked = [];

/** Keeps what the SDK hands it, as an application would in a file. */
class Provider {
  redirectUrl = callback;
  clientMetadata = { client_name: "TypeScript", redirect_uris: [callback], token_endpoint_auth_method: "none" };
  clientInformation() { return this.information; }
  saveClientInformation(information) { this.information = information; }
  tokens() { return this.saved; }
  saveTokens(tokens) { this.saved = tokens; }
  codeVerifier() { return this.verifier; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  state() { return (this.sent = crypto.randomUUID()); }
  redirectToAuthorization(authorization) { this.authorization = authorization; }
}

/** The browser and its user: opens the page, clicks on Allow, and returns the code that comes back. */
async function consent(provider) {
  asked.push(provider.authorization.searchParams.get("scope"));
  const page = await (await fetch(provider.authorization)).text();
  const request = /name="request" value="([^"]*)"/.exec(page)[1].replaceAll("&amp;", "&");
  const action = new URL(/action="([^"]*)"/.exec(page)[1], provider.authorization);
  const answer = await fetch(action, {
    method: "POST",
    body: new URLSearchParams({ request, decision: "allow" }),
    headers: { origin: action.origin, "sec-fetch-site": "same-origin" },
    redirect: "manual",
  });
  const back = new URL(answer.headers.get("location"));
  if (back.origin + back.pathname !== provider.redirectUrl) throw new Error(`another place: ${back}`);
  if (back.searchParams.get("state") !== provider.sent) throw new Error(`another state: ${back}`);
  return back.searchParams.get("code");
}

/** Runs a step; if the SDK says that it needs the user, asks them and runs it again. */
async function withUser(provider, step) {
  const transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
  const client = new Client({ name: "typescript", version: "1.0.0" });
  try {
    await client.connect(transport);
    return await step(client);
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(await consent(provider));
  } finally {
    await client.close();
  }
  return withUser(provider, step);
}

const call = (name, input) => async (client) =>
  (await client.callTool({ name, arguments: input })).structuredContent;

const provider = new Provider();
const tools = await withUser(provider, async (client) => (await client.listTools()).tools.map((tool) => tool.name));
const before = await withUser(provider, call("whoami", {}));
const thing = await withUser(provider, call("create_thing", { name: "lamp" }));
const after = await withUser(provider, call("whoami", {}));
// As at a later start: it has kept who it is, but not its tokens, and has another port.
provider.saved = undefined;
provider.redirectUrl = laterCallback;
const later = await withUser(provider, call("whoami", {}));
console.log(JSON.stringify({ tools: tools.sort(), asked, before, thing, after, later }));
