// What a server says is shown as text only, never as markup: tokens hold what their users typed.

const ROUTES = [
  ["GET", "/public", "for everyone"],
  ["GET", "/optional", "for everyone, knows users"],
  ["GET", "/protected", "for users"],
  ["POST", "/invoices", "needs org:invoices:create"],
  ["GET", "/any", "for every kind of token"],
  ["GET", "/oauth", "for OAuth clients"],
  ["GET", "/scoped", "needs scope things:read"],
];

const element = (id) => document.getElementById(id);
const isDemo = document.body.dataset.callers === "demo";
const hasClerk = document.body.dataset.callers === "clerk";

const nobody = { id: "none", name: "Nobody", about: "no token is sent", token: null };
const own = { id: "own", name: "Another token", about: "that you paste here", token: null };
let callers = [nobody, own];
let caller = nobody;
// The answer to a call that another one has followed is not shown.
let calls = 0;

function create(name, text, properties = {}) {
  const created = Object.assign(document.createElement(name), properties);
  created.textContent = text;
  return created;
}

function showStatus(status, target) {
  const kind = status < 400 ? "good" : status >= 500 || status === 0 ? "wait" : "bad";
  target.textContent = status === 0 ? "failed" : String(status);
  target.className = "status";
  target.dataset.kind = kind;
  target.hidden = false;
  return target;
}

// Who calls

function showCallers() {
  const choices = callers.map((one) => {
    const label = document.createElement("label");
    const input = create("input", "", { type: "radio", name: "caller", value: one.id, checked: one.id === caller.id });
    input.addEventListener("change", () => choose(one.id));
    label.append(input, create("strong", one.name), create("small", one.about));
    return label;
  });
  element("callers").replaceChildren(...choices);
}

function choose(id) {
  caller = callers.find((one) => one.id === id) ?? nobody;
  element("own").hidden = caller !== own;
  forgetStatuses();
  showToken();
}

async function renew() {
  if (isDemo) {
    callers = (await demoCallers()) ?? callers;
  } else if (caller.session) {
    caller.token = await caller.session.getToken({ skipCache: true });
  }
  caller = callers.find((one) => one.id === caller.id) ?? nobody;
  showToken();
}

// Without them there is a note why, and the page works on with other tokens.
async function demoCallers() {
  const note = element("callers-note");
  note.hidden = true;
  try {
    const response = await fetch("/demo/tokens");
    if (response.ok) return [nobody, ...(await response.json()), own];
    const reason = (await response.text()).trim() || `status ${response.status}`;
    note.textContent = `There are no users to choose from: ${reason}.`;
  } catch {
    note.textContent = "There are no new tokens: the server sent no response.";
  }
  note.hidden = false;
  return null;
}

// The token

function segment(token, index) {
  try {
    const text = atob(token.split(".")[index].replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (char) => char.charCodeAt(0))));
  } catch {
    return null;
  }
}

// The page cannot verify a signature and need not: only the server decides.
function claimsOf(token) {
  return token?.split(".").length === 3 && segment(token, 0) ? segment(token, 1) : null;
}

function showToken() {
  const claims = claimsOf(caller.token);
  element("claims").hidden = claims === null;
  element("claims").textContent = claims === null ? "" : JSON.stringify(claims, null, 2);
  element("token-note").textContent = note(claims);
  // A new token of a caller whose tokens have always expired, or do not expire, would be no other.
  const canRenew = isDemo && claims !== null && caller !== own && caller.id !== "late";
  element("renew").hidden = !(caller.session || canRenew);
  showLife();
}

function note(claims) {
  if (!caller.token) return "There is no token.";
  if (claims) return "The claims of the JWT, as this page reads them. Whether they hold, only the server decides.";
  return "Nothing that this page can read. Opaque tokens say nothing by themselves: the server asks Clerk about them.";
}

function showLife() {
  const { exp, iat } = claimsOf(caller.token) ?? {};
  const isKnown = Number.isFinite(exp);
  const left = isKnown ? Math.ceil(exp - Date.now() / 1000) : 0;
  const text = element("life-text");
  text.className = isKnown && left <= 0 ? "over" : "";
  text.textContent = life(isKnown, left);
  const bar = element("life-bar");
  bar.hidden = !isKnown;
  bar.max = Number.isFinite(iat) && exp > iat ? exp - iat : 60;
  bar.value = Math.max(0, Math.min(left, bar.max));
}

function life(isKnown, left) {
  if (!caller.token) return "No token";
  if (!isKnown) return "Only the server knows when it expires";
  return left > 0 ? `Expires in ${duration(left)}` : `Expired ${duration(-left)} ago`;
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 1 ? `${minutes} min` : `${seconds} s`;
}

// Calls

function showRoutes() {
  const items = ROUTES.map((route) => {
    const [method, path, about] = route;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.path = path;
    button.append(create("code", `${method} ${path}`), create("small", about));
    button.append(create("span", "", { className: "status", hidden: true }));
    button.addEventListener("click", () => callAndShow(route));
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  element("routes").replaceChildren(...items);
}

const buttonOf = (path) => element("routes").querySelector(`[data-path="${path}"]`);

function forgetStatuses() {
  calls += 1;
  for (const [, path] of ROUTES) {
    buttonOf(path).removeAttribute("aria-current");
    buttonOf(path).querySelector(".status").hidden = true;
  }
  element("exchange").hidden = true;
  element("summary").textContent = "Nothing yet: no route has been called.";
}

async function tokenToSend() {
  if (caller === own) own.token = element("own-token").value.trim() || null;
  // Clerk's script keeps the token of the session fresh.
  if (caller.session) caller.token = await caller.session.getToken();
  showToken();
  return caller.token;
}

async function call([method, path], token) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const exchange = { method, path, headers, status: 0, reason: "no response", text: "", fields: new Headers() };
  try {
    const response = await fetch(path, { method, headers, credentials: "omit", cache: "no-store" });
    exchange.status = response.status;
    exchange.reason = response.statusText;
    exchange.fields = response.headers;
    exchange.text = await response.text();
  } catch (error) {
    exchange.text = String(error);
  }
  return exchange;
}

async function callAndShow(route) {
  const mine = (calls += 1);
  const exchange = await call(route, await tokenToSend());
  if (mine !== calls) return;
  showStatus(exchange.status, buttonOf(route[1]).querySelector(".status"));
  show(exchange);
  // In a narrow window the result is below the routes.
  if (matchMedia("(max-width: 760px)").matches) element("result-title").scrollIntoView();
}

async function callAll() {
  forgetStatuses();
  const mine = calls;
  const token = await tokenToSend();
  const exchanges = await Promise.all(ROUTES.map((route) => call(route, token)));
  if (mine !== calls) return;
  for (const exchange of exchanges) {
    showStatus(exchange.status, buttonOf(exchange.path).querySelector(".status"));
  }
  const passed = exchanges.filter((exchange) => exchange.status > 0 && exchange.status < 400).length;
  element("summary").textContent = `${caller.name}: ${passed} of ${exchanges.length} routes let the request pass.`;
}

function show(exchange) {
  const { method, path, status, fields, text } = exchange;
  for (const [, other] of ROUTES) buttonOf(other).toggleAttribute("aria-current", false);
  buttonOf(path).setAttribute("aria-current", "true");
  element("exchange").hidden = false;

  const lines = Object.entries(exchange.headers).map(([name, value]) => `${name.toLowerCase()}: ${shortened(value)}`);
  element("request").textContent = [`${method} ${path}`, `host: ${location.host}`, ...lines].join("\n");

  const rows = [["Status", `${status} ${exchange.reason}`.trim()]];
  for (const [title, name] of FIELDS) if (fields.has(name)) rows.push([title, fields.get(name)]);
  const cells = rows.flatMap(([title, value]) => [create("dt", title), create("dd", value)]);
  element("response").replaceChildren(...cells);

  const json = parsed(text);
  element("body").textContent = json === null ? text : JSON.stringify(json, null, 2);
  const summary = element("summary");
  summary.textContent = `${method} ${path}`;
  summary.append(showStatus(status, create("span", "")), create("small", explain(status, json?.code)));
}

const FIELDS = [
  ["Challenge", "www-authenticate"],
  ["Retry after", "retry-after"],
  ["Content type", "content-type"],
];

function shortened(value) {
  const [scheme, token] = value.split(" ");
  if (scheme !== "Bearer" || token.length < 40) return value;
  return `${scheme} ${token.slice(0, 10)}…${token.slice(-6)} (${token.length} characters)`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function explain(status, code) {
  if (status === 0) return "The server sent no response.";
  if (status < 400) return "The request reached the handler.";
  const reasons = {
    400: "The layer refused the request: it is malformed.",
    401: code === "missing_token" ? "The layer refused the request: it needs a token." : "The layer refused the token.",
    403: "The token is valid, but does not grant what the route requires.",
    503: "The token could not be verified now. It may be good: try again later.",
  };
  return reasons[status] ?? "The server refused the request.";
}

// Clerk

async function startClerk() {
  element("session").hidden = false;
  if (!window.Clerk) {
    element("user").textContent = "Clerk’s script could not be loaded.";
    return;
  }
  await window.Clerk.load();
  element("sign-in").addEventListener("click", () => window.Clerk.redirectToSignIn());
  element("sign-out").addEventListener("click", () => window.Clerk.signOut());
  window.Clerk.addListener(({ session, user }) => showSession(session, user));
  await showSession(window.Clerk.session, window.Clerk.user);
}

async function showSession(session, user) {
  const name = user?.primaryEmailAddress?.emailAddress ?? user?.username ?? user?.id;
  element("user").textContent = session ? name : "";
  element("sign-in").hidden = Boolean(session);
  element("sign-out").hidden = !session;
  const signedIn = { id: "session", name: "You", about: "with the session of this browser", session };
  callers = session ? [nobody, signedIn, own] : [nobody, own];
  if (session) signedIn.token = await session.getToken();
  choose(session && caller === nobody ? "session" : caller.id);
  showCallers();
}

async function start() {
  showRoutes();
  element("call-all").addEventListener("click", callAll);
  element("renew").addEventListener("click", renew);
  element("own-token").addEventListener("input", () => {
    own.token = element("own-token").value.trim() || null;
    showToken();
  });
  if (isDemo) {
    await renew();
    caller = callers.find((one) => one.token) ?? nobody;
  }
  showCallers();
  choose(caller.id);
  setInterval(showLife, 1000);
  if (hasClerk) await startClerk();
}

start();
