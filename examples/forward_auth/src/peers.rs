//! Which peers are believed about the request that they ask about.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// The proxies: this machine, and the networks that were named.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedPeers(Vec<IpNet>);

impl TrustedPeers {
    /// Adds a network, such as `10.0.0.0/8`, or one address.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), &'static str> {
        let network = IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
        let network = network.map_err(|_| "must be a network such as 10.0.0.0/8, or an address")?;
        // More often a slip of the pen in the number of bits than a wish.
        if network != network.trunc() {
            return Err("must be a network such as 10.0.0.0/8, whose address has no bits after its prefix");
        }
        // No peer is in it: their addresses are made those of IPv4.
        if let IpNet::V6(network) = network
            && network.addr().to_ipv4_mapped().is_some()
        {
            return Err("must have a network of IPv4 as such, without ::ffff:");
        }
        self.0.push(network);
        Ok(())
    }

    pub(crate) fn contain(&self, peer: IpAddr) -> bool {
        // A socket for both protocols shows addresses of IPv4 as those of IPv6.
        let peer = peer.to_canonical();
        peer.is_loopback() || self.0.iter().any(|network| network.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_the_networks_are_trusted_and_nobody_else() {
        let mut peers = TrustedPeers::default();
        for text in ["10.1.0.0/16", "192.0.2.7", "2001:db8::/32"] {
            peers.add(text).unwrap();
        }
        for (peer, is_trusted) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.0.0", true),
            ("10.1.255.255", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.0", false),
            ("10.0.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(peers.contain(peer.parse().unwrap()), is_trusted, "{peer}");
        }
        assert!(!TrustedPeers::default().contain("10.1.0.0".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "localhost", "10.0.0.0/33", "10.0.0/8", "*", "10.0.0.0/8,10.1.0.0/16", "10.1.2.3/8", "2001:db8::1/32"]
        {
            assert!(TrustedPeers::default().add(text).is_err(), "{text}");
        }
        for text in ["::ffff:10.0.0.0/104", "::ffff:10.1.2.3"] {
            assert!(TrustedPeers::default().add(text).unwrap_err().contains("::ffff:"), "{text}");
        }
    }
}
