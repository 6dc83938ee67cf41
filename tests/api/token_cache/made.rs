//! Keys that are made for a given signature.
//!
//! Nobody finds a second signature of a given key that ends like a first one. But a key can be made for a signature, if
//! its exponent is 3: for the signature s, a number of about a third of the key's length, and the padded message m (RFC
//! 8017, section 9.2), the modulus is s³ − m, because s³ is congruent to m under it. Only such a test has use for it:
//! whoever chooses the key can sign anyway.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_clerk::testing::TokenBuilder;

use super::cached::segments;

/// A token, and the key that was made for its signature.
pub(super) struct Made {
    pub(super) jwk: Value,
    pub(super) token: String,
}

impl Made {
    /// Signs with the root of this number. The roots of all numbers end alike.
    pub(super) fn new(token: &TokenBuilder, kid: &str, root: u8) -> Self {
        let root = self::root(root);
        let cube = product(&product(&root, &root), &root);
        // The modulus has to be odd. The last byte of a message is the last one of its digest.
        let message = |number: usize| {
            let token = token.clone().header("kid", kid).claim("n", number).sign();
            let (input, _) = token.rsplit_once('.').expect("a token");
            (input.to_owned(), padded_message(input))
        };
        let is_even = |(_, message): &(String, Vec<u8>)| message[0].is_multiple_of(2);
        let (input, message) = (0..).map(message).find(is_even).expect("an even message");
        let modulus = difference(&cube[..LENGTH], &message);
        assert!(cube[LENGTH..].iter().all(|digit| *digit == 0) && modulus[LENGTH - 1] >= 0x80, "2048 bits");
        let signature = big_endian([&root[..], &[0; LENGTH - ROOT]].concat());
        Self {
            jwk: json!({ "kty": "RSA", "kid": kid, "e": "Aw", "n": big_endian(modulus) }),
            token: format!("{input}.{signature}"),
        }
    }

    pub(super) fn signature(&self) -> &str {
        segments(&self.token)[2]
    }
}

// Numbers are bytes from the lowest to the highest.

/// About 1.4 · 2⁶⁸², whose cube has 2048 bits. It is odd, and so is its cube.
fn root(number: u8) -> [u8; ROOT] {
    let mut root = [0x5a; ROOT];
    // The lowest bytes make the end of the signature, so the numbers differ above them.
    root[0] = 1;
    root[ROOT / 2] = number;
    root[ROOT - 2..].copy_from_slice(&[0x80, 0x05]);
    root
}

/// EMSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 9.2).
fn padded_message(input: &str) -> Vec<u8> {
    const SHA256_INFO: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
        0x20,
    ];
    let digest = digest(&SHA256, input.as_bytes());
    let mut message = vec![0xff; LENGTH];
    message[..2].copy_from_slice(&[0, 1]);
    let info = LENGTH - digest.as_ref().len() - SHA256_INFO.len();
    message[info - 1] = 0;
    message[info..].copy_from_slice(&[&SHA256_INFO, digest.as_ref()].concat());
    message.reverse();
    message
}

fn product(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut product = vec![0; a.len() + b.len()];
    for (at, left) in a.iter().enumerate() {
        let mut carry = 0;
        for (digit, right) in product[at..].iter_mut().zip(b.iter().chain([&0])) {
            let sum = u16::from(*digit) + u16::from(*left) * u16::from(*right) + u16::from(carry);
            [*digit, carry] = sum.to_le_bytes();
        }
    }
    product
}

/// `a` is the larger one.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut has_borrowed = false;
    let digit = |(left, right): (&u8, &u8)| {
        let (digit, is_below) = left.overflowing_sub(*right);
        let (digit, is_zero) = digit.overflowing_sub(has_borrowed.into());
        has_borrowed = is_below || is_zero;
        digit
    };
    a.iter().zip(b).map(digit).collect()
}

fn big_endian(mut number: Vec<u8>) -> String {
    number.reverse();
    BASE64_URL_SAFE_NO_PAD.encode(number)
}

/// In bytes, of a modulus.
const LENGTH: usize = 256;
/// In bytes.
const ROOT: usize = 86;
