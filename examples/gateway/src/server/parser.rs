//! Where each request of a connection begins, and whether its length could be read in two ways.

use super::requests::Requests;

/// Follows the messages of a connection, to know where each head begins.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    /// The part of a head, or of the line with a chunk's size, that has arrived.
    pending: Vec<u8>,
    heads: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// The size of a chunk comes next.
    ChunkSize,
    /// So many bytes of a chunk and its line end come next.
    ChunkData(u64),
    /// So many bytes of a body come next.
    Data(u64),
    /// The head of a request comes next.
    #[default]
    Head,
    /// Not HTTP/1, or broken: hyper answers it, or ends the connection.
    Stopped,
    /// The trailers of a chunked body come next.
    Trailers,
}

impl Parser {
    /// Reads the next bytes of the connection.
    pub(super) fn read(&mut self, mut bytes: &[u8], requests: &Requests) {
        if requests.is_tunnel() {
            self.state = State::Stopped;
            self.pending = Vec::new();
        }
        while !bytes.is_empty() {
            match self.state {
                State::Stopped => return,
                State::Data(left) => {
                    let rest = skip(&mut bytes, left);
                    self.state = if rest == 0 { State::Head } else { State::Data(rest) };
                }
                State::ChunkData(left) => {
                    let rest = skip(&mut bytes, left);
                    self.state = if rest == 0 { State::ChunkSize } else { State::ChunkData(rest) };
                }
                State::Head | State::ChunkSize | State::Trailers => bytes = self.text(bytes, requests),
            }
        }
    }

    /// Reads what ends with a line, and returns the bytes after it.
    fn text<'a>(&mut self, bytes: &'a [u8], requests: &Requests) -> &'a [u8] {
        let waiting = self.pending.len();
        // The usual case needs no copy: all of it is in one read.
        let copied = (waiting > 0).then(|| {
            let mut pending = std::mem::take(&mut self.pending);
            pending.extend_from_slice(bytes);
            pending
        });
        let text = copied.as_deref().unwrap_or(bytes);
        // Without the end of a line nothing is complete, so a head that arrives byte by byte is not parsed each time.
        let step = if bytes.contains(&b'\n') { self.step(text, requests) } else { Step::Incomplete };
        match step {
            Step::Next(length, state) => {
                self.state = state;
                bytes.get(length.saturating_sub(waiting)..).unwrap_or_default()
            }
            Step::Incomplete if text.len() > MAX_PENDING => {
                requests.mark(self.heads + 1);
                self.stop()
            }
            Step::Incomplete => {
                self.pending = copied.unwrap_or_else(|| bytes.to_vec());
                &[]
            }
            Step::Broken => {
                if self.state != State::Head {
                    // hyper may take what this parser does not, and then reads another request next than it would.
                    requests.mark(self.heads + 1);
                }
                self.stop()
            }
        }
    }

    fn stop<'a>(&mut self) -> &'a [u8] {
        self.state = State::Stopped;
        self.pending = Vec::new();
        &[]
    }

    fn step(&mut self, text: &[u8], requests: &Requests) -> Step {
        match self.state {
            State::ChunkSize => match httparse::parse_chunk_size(text) {
                Ok(httparse::Status::Complete((length, 0))) => Step::Next(length, State::Trailers),
                Ok(httparse::Status::Complete((length, size))) => {
                    Step::Next(length, State::ChunkData(size.saturating_add(LINE_END)))
                }
                Ok(httparse::Status::Partial) => Step::Incomplete,
                Err(_) => Step::Broken,
            },
            State::Trailers => {
                let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
                match httparse::parse_headers(text, &mut fields) {
                    Ok(httparse::Status::Complete((length, _))) => match text.get(..length) {
                        Some(section) if !has_bare_line_feed(section) => Step::Next(length, State::Head),
                        _ => Step::Broken,
                    },
                    Ok(httparse::Status::Partial) => Step::Incomplete,
                    Err(_) => Step::Broken,
                }
            }
            _ => self.head(text, requests),
        }
    }

    fn head(&mut self, text: &[u8], requests: &Requests) -> Step {
        let mut fields = [std::mem::MaybeUninit::uninit(); MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(text, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Step::Incomplete,
            Err(_) => return Step::Broken,
        };
        self.heads += 1;
        let (mut lengths, mut encodings) = (0, 0);
        let mut next = State::Head;
        let mut is_ambiguous = false;
        for field in &*request.headers {
            if field.name.eq_ignore_ascii_case("content-length") {
                lengths += 1;
                match length_of(field.value) {
                    Some(0) => {}
                    Some(length) => next = State::Data(length),
                    None => is_ambiguous = true,
                }
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                encodings += 1;
                // Further codings would have to be taken off, or passed on, and few servers do either.
                is_ambiguous |= !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                next = State::ChunkSize;
            }
        }
        if is_ambiguous || lengths + encodings > 1 {
            requests.mark(self.heads);
            return Step::Next(text.len(), State::Stopped);
        }
        Step::Next(length, next)
    }
}

enum Step {
    Broken,
    Incomplete,
    /// So many bytes belong to what was read; what comes next.
    Next(usize, State),
}

/// Whether a line ends otherwise than hyper takes for an end.
fn has_bare_line_feed(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n');
    // What comes after the last line feed is no line.
    lines.next_back();
    lines.any(|line| line.last() != Some(&b'\r'))
}

/// Digits and nothing else: `u64::from_str` takes a sign as well.
fn length_of(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let text = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Takes at most so many bytes off the front, and returns how many are still to come.
fn skip(bytes: &mut &[u8], left: u64) -> u64 {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if left >= length {
        *bytes = &[];
        return left - length;
    }
    *bytes = usize::try_from(left).ok().and_then(|left| bytes.get(left..)).unwrap_or_default();
    0
}

/// hyper's own limit, above which it answers 431.
const MAX_FIELDS: usize = 100;
/// In bytes: what hyper keeps at most for one head, about.
const MAX_PENDING: usize = 512 * 1024;
const LINE_END: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the requests in the bytes are ambiguous, read in pieces of every size.
    fn ambiguous(bytes: &[u8]) -> u64 {
        let read = |size: usize| {
            let requests = Requests::default();
            let mut parser = Parser::default();
            bytes.chunks(size).for_each(|piece| parser.read(piece, &requests));
            requests.first_ambiguous()
        };
        let whole = read(bytes.len());
        for size in 1..bytes.len() {
            assert_eq!(read(size), whole, "in pieces of {size}");
        }
        whole
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    #[test]
    fn a_request_with_one_length_is_not_ambiguous() {
        for request in [
            GET,
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nGET /",
            "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\na: b\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(ambiguous(request.as_bytes()), 0, "{request}");
            assert_eq!(ambiguous([request, GET, request].concat().as_bytes()), 0, "{request}");
        }
    }

    #[test]
    fn a_request_with_two_lengths_is_ambiguous() {
        for fields in [
            "content-length: 5\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "content-length: 5\r\ncontent-length: 5",
            "content-length: 5, 5",
            "content-length: +5",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: identity",
        ] {
            let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n0\r\n\r\n");
            assert_eq!(ambiguous(request.as_bytes()), 1, "{fields}");
            assert_eq!(ambiguous([GET, GET, &request].concat().as_bytes()), 3, "{fields}");
        }
    }

    #[test]
    fn a_request_after_a_body_is_found() {
        let bad = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        for before in [
            "POST / HTTP/1.1\r\ncontent-length: 33\r\n\r\nGET / HTTP/1.1\r\ncontent-length:\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n21\r\nGET / HTTP/1.1\r\ncontent-length:\r\n\r\n0\r\nx: y\r\n\r\n",
        ] {
            assert_eq!(ambiguous([before, bad].concat().as_bytes()), 2, "{before}");
        }
    }

    #[test]
    fn what_is_no_request_is_left_to_hyper() {
        for bytes in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "nonsense\r\n\r\n", "\0\0\0"] {
            assert_eq!(ambiguous(bytes.as_bytes()), 0, "{bytes}");
        }
    }

    #[test]
    fn after_a_body_that_could_be_read_in_two_ways_nothing_is_trusted() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        for body in
            ["00000000000000000000003\r\nabc\r\n0\r\n\r\n", "0\r\nx: y\n\r\n", "0\r\nx: y\n\n", "1\r\na\r\nzz\r\n"]
        {
            assert_eq!(ambiguous([head, body, GET].concat().as_bytes()), 2, "{body:?}");
        }
    }

    #[test]
    fn nothing_of_a_tunnel_is_kept() {
        let (requests, mut parser) = (Requests::default(), Parser::default());
        parser.read(b"GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\nno end of a line", &requests);
        assert!(!parser.pending.is_empty());
        requests.end();
        parser.read(b"more", &requests);
        assert!(parser.pending.is_empty() && parser.pending.capacity() == 0);
    }

    #[test]
    fn the_service_learns_which_request_it_is() {
        let requests = Requests::default();
        Parser::default().read(
            [GET, GET, "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n"].concat().as_bytes(),
            &requests,
        );
        let seen = [(); 4].map(|()| requests.next_is_ambiguous());
        assert_eq!(seen, [false, false, true, true]);
    }
}
