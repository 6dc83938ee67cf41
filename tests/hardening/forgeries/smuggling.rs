//! Misspelt credentials in a request, sent byte by byte over a socket. Requests that hyper rejects are
//! included.

use super::{
    forge::{good, header, jwks, payload, stranger},
    table::{assert_tells_nothing, status},
    targets::Targets,
};

/// A request without a valid credential, and its nearest valid neighbour.
pub(crate) struct Exchange {
    pub(crate) case: &'static str,
    pub(crate) attack: String,
    pub(crate) rejected: Rejected,
    pub(crate) neighbour: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Rejected {
    Grpc(u8),
    Http(u16),
}

#[tokio::test]
async fn misspelt_credentials_are_rejected() {
    check(exchanges()).await;
}

#[tokio::test]
async fn pipelined_requests_use_their_own_credentials() {
    let targets = Targets::start(&jwks()).await;
    let (token, forged) = (good(), forged());
    let request =
        |credential: &str, more: &str| format!("GET /me HTTP/1.1\r\nhost: api.test\r\n{credential}{more}\r\n");
    let pipelined = [
        request(&format!("authorization: Bearer {token}\r\n"), ""),
        request("", ""),
        request(&format!("authorization: Bearer {forged}\r\n"), ""),
        request(&format!("authorization: Bearer {token}\r\n"), "connection: close\r\n"),
    ]
    .concat();
    for server in targets.servers() {
        let calls = targets.calls();
        let answer = server.exchange(pipelined.as_bytes()).await;
        let statuses: Vec<u16> = answer.split("HTTP/1.1").skip(1).map(status).collect();
        assert_eq!(statuses, [200, 401, 401, 200], "{answer}");
        assert_eq!(targets.calls(), calls + 2);
    }
}

pub(crate) async fn check(exchanges: Vec<Exchange>) {
    let targets = Targets::start(&jwks()).await;
    for Exchange { case, attack, rejected, neighbour } in exchanges {
        for server in targets.servers() {
            let calls = targets.calls();
            let answer = server.exchange(&latin_1(&attack)).await;
            let expected = match rejected {
                Rejected::Grpc(_) => 200,
                Rejected::Http(status) => status,
            };
            assert_eq!(status(&answer), expected, "{case}: {answer}");
            assert_eq!(answer.matches("HTTP/1.").count(), 1, "{case}: {answer}");
            if let Rejected::Grpc(code) = rejected {
                assert!(answer.contains(&format!("\r\ngrpc-status: {code}\r\n")), "{case}: {answer}");
            }
            assert_tells_nothing(case, &good(), &answer);
            assert_eq!(targets.calls(), calls, "{case}: {answer}");

            let answer = server.exchange(&latin_1(&neighbour)).await;
            assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\nuser_ada"), "{case}, neighbour: {answer}");
            assert_eq!(targets.calls(), calls + 1, "{case}");
        }
    }
}

/// The valid token, signed by another key.
pub(crate) fn forged() -> String {
    stranger().sign(&header(), &payload())
}

/// A request with this request line and these additional lines. It closes the connection.
pub(crate) fn request(line: &str, lines: &str) -> String {
    format!("{line}\r\nhost: api.test\r\nconnection: close\r\n{lines}\r\n")
}

pub(crate) fn get(lines: &str) -> String {
    request("GET /me HTTP/1.1", lines)
}

/// One byte for each character (Latin-1).
fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(u32::from(char)).expect("Latin-1")).collect()
}

pub(crate) fn exchanges() -> Vec<Exchange> {
    let token = good();
    let (head, tail) = token.split_at(40);
    let spellings = [
        ("folded after the scheme", format!("authorization: Bearer\r\n {token}\r\n"), 400),
        ("folded with a tab", format!("authorization: Bearer\r\n\t{token}\r\n"), 400),
        ("folded in the token", format!("authorization: Bearer {head}\r\n {tail}\r\n"), 400),
        ("folded before the value", format!("authorization:\r\n Bearer {token}\r\n"), 400),
        ("a space before the colon", format!("authorization : Bearer {token}\r\n"), 400),
        ("a tab before the colon", format!("authorization\t: Bearer {token}\r\n"), 400),
        ("a space before the name", format!(" authorization: Bearer {token}\r\n"), 400),
        ("NUL in the name", format!("authorization\0: Bearer {token}\r\n"), 400),
        ("a wide name", format!("authorizat\u{ef}on: Bearer {token}\r\n"), 400),
        ("no colon", format!("authorization Bearer {token}\r\n"), 400),
        ("NUL in the token", format!("authorization: Bearer {head}\0{tail}\r\n"), 400),
        ("NUL after the token", format!("authorization: Bearer {token}\0\r\n"), 400),
        ("0x01", format!("authorization: Bearer {token}\u{1}\r\n"), 400),
        ("0x08 before", format!("authorization: x\u{8}Bearer {token}\r\n"), 400),
        ("0x0b for a space", format!("authorization: Bearer\u{b}{token}\r\n"), 400),
        ("0x7f", format!("authorization: Bearer {head}\u{7f}{tail}\r\n"), 400),
        ("0x85", format!("authorization: Bearer {token}\u{85}\r\n"), 400),
        ("0xa0 for a space", format!("authorization: Bearer\u{a0}{token}\r\n"), 400),
        ("0xa0 before", format!("authorization: \u{a0}Bearer {token}\r\n"), 400),
        ("0xa0 after", format!("authorization: Bearer {token}\u{a0}\r\n"), 400),
        ("0xff", format!("authorization: Bearer {head}\u{ff}{tail}\r\n"), 400),
        ("a carriage return", format!("authorization: Bearer {token}\rx: y\r\n"), 400),
        ("a tab for a space", format!("authorization: Bearer\t{token}\r\n"), 400),
        ("a tab besides the space", format!("authorization: Bearer \t{token}\r\n"), 400),
        ("empty", "authorization:\r\n".to_owned(), 401),
        ("the scheme alone", "authorization: Bearer\r\n".to_owned(), 401),
        ("the scheme and a space", "authorization: Bearer \r\n".to_owned(), 401),
        ("the scheme twice", format!("authorization: Bearer Bearer {token}\r\n"), 400),
        ("two tokens", format!("authorization: Bearer {token} {token}\r\n"), 400),
        ("a word after", format!("authorization: Bearer {token} x\r\n"), 400),
        ("a parameter after", format!("authorization: Bearer {token}, realm=x\r\n"), 400),
        ("the same joined by a comma", format!("authorization: Bearer {token}, Bearer {token}\r\n"), 400),
        ("another joined by a comma", format!("authorization: Basic eDp5, Bearer {token}\r\n"), 400),
        ("a comma after", format!("authorization: Bearer {token},\r\n"), 400),
        ("a comma before", format!("authorization: ,Bearer {token}\r\n"), 400),
        ("two fields", format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n"), 400),
        ("two fields, one bad", format!("authorization: Bearer a.b.c\r\nauthorization: Bearer {token}\r\n"), 400),
        ("two fields, the other bad", format!("authorization: Bearer {token}\r\nauthorization: Bearer a.b.c\r\n"), 400),
        ("two fields, one empty", format!("authorization: Bearer {token}\r\nauthorization:\r\n"), 400),
        ("two fields, another scheme", format!("authorization: Basic eDp5\r\nAuthorization: Bearer {token}\r\n"), 400),
        (
            "two fields apart",
            format!("AUTHORIZATION: Bearer {token}\r\nx: y\r\nauthorization: Bearer {token}\r\n"),
            400,
        ),
        ("a colon for a space", format!("authorization: Bearer:{token}\r\n"), 401),
        ("an equals sign for a space", format!("authorization: Bearer={token}\r\n"), 401),
        ("no space", format!("authorization: Bearer{token}\r\n"), 401),
        ("no scheme", format!("authorization: {token}\r\n"), 401),
        ("quoted", format!("authorization: Bearer \"{token}\"\r\n"), 401),
        ("angled", format!("authorization: Bearer <{token}>\r\n"), 401),
        ("escaped", format!("authorization: Bearer {}\r\n", token.replace('.', "%2E")), 401),
        ("Basic", format!("authorization: Basic {token}\r\n"), 401),
        ("DPoP", format!("authorization: DPoP {token}\r\n"), 401),
        ("JWT", format!("authorization: JWT {token}\r\n"), 401),
        ("Token", format!("authorization: Token {token}\r\n"), 401),
        ("Negotiate", format!("authorization: Negotiate {token}\r\n"), 401),
        ("Bearers", format!("authorization: Bearers {token}\r\n"), 401),
        ("a scheme of another script", format!("authorization: \u{df}earer {token}\r\n"), 400),
        ("a forged token", format!("authorization: Bearer {}\r\n", forged()), 401),
        ("a forged token in capitals", format!("AUTHORIZATION: BEARER {}\r\n", forged()), 401),
    ];
    let neighbours = [
        format!("authorization: Bearer {token}\r\n"),
        format!("AUTHORIZATION: BEARER {token}\r\n"),
        format!("aUtHoRiZaTiOn:bearer   {token}  \t\r\n"),
    ];
    let row = |(at, (case, lines, status)): (usize, (&'static str, String, u16))| {
        let neighbour = &neighbours[at % neighbours.len()];
        Exchange { case, attack: get(&lines), rejected: Rejected::Http(status), neighbour: get(neighbour) }
    };
    spellings.into_iter().enumerate().map(row).collect()
}
