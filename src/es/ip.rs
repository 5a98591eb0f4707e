//! Addresses as Elasticsearch stores them: sixteen bytes, IPv4 mapped into IPv6, so that the two
//! forms of an IPv4 address are equal.

use ipnet::IpNet;
use std::net::IpAddr;

/// The number of an address, or `None` for a text that is none.
pub fn parse(text: &str) -> Option<u128> {
    text.parse::<IpAddr>().ok().map(number)
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// First and last address of a CIDR block; host bits are ignored. `None` for a text that is none.
pub fn parse_cidr(text: &str) -> Option<(u128, u128)> {
    let net: IpNet = text.parse().ok()?;
    // refused, because the address counts as one of IPv4 and the length of the prefix as one of IPv6
    if let IpNet::V6(v6) = net
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return None;
    }
    let net = net.trunc();
    Some((number(net.network()), number(net.broadcast())))
}

/// The usual text of an address number.
pub fn format(ip: u128) -> String {
    let v6 = std::net::Ipv6Addr::from(ip);
    v6.to_ipv4_mapped().map_or_else(|| v6.to_string(), |v4| v4.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_equal_and_blocks_cover_their_hosts() {
        assert_eq!(parse("10.0.0.1"), parse("::ffff:10.0.0.1"));
        let (lo, hi) = parse_cidr("10.6.48.157/8").unwrap();
        let ip = parse("10.255.255.255").unwrap();
        assert!(lo <= ip && ip <= hi);
        let (lo, hi) = parse_cidr("fe80::/10").unwrap();
        assert!(parse("10.0.0.1").is_some_and(|ip| ip < lo || ip > hi));
        assert_eq!(format(parse("10.0.0.1").unwrap()), "10.0.0.1");
        assert_eq!(parse_cidr("10.0.0.0"), None);
    }
}
