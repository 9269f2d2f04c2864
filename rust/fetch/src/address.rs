//! Which addresses are of the public internet, and which only a policy can open.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::FetchError;

/// A range of addresses, as `10.0.0.0/8` or `fd00:1::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` is one of it. An IPv4 address within an IPv6 one counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => in_v4(other, own, self.prefix),
            (IpAddr::V6(own), IpAddr::V6(other)) => in_v6(other, own, self.prefix),
            _ => false,
        }
    }
}

fn in_v4(address: Ipv4Addr, network: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits()
}

fn in_v6(address: Ipv6Addr, network: Ipv6Addr, prefix: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits()
}

impl FromStr for Network {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let refuse = |reason| FetchError::Policy {
            what: format!("{:?}", text.chars().take(60).collect::<String>()),
            reason,
        };
        let written = "a network is written as 10.0.0.0/8 or fd00:1::/32";
        let (address, prefix) = text.split_once('/').ok_or_else(|| refuse(written))?;
        let address: IpAddr = address.parse().map_err(|_| refuse(written))?;
        let prefix: u8 = prefix.parse().map_err(|_| refuse(written))?;
        if prefix > if address.is_ipv4() { 32 } else { 128 } {
            return Err(refuse(written));
        }
        if address != address.to_canonical() {
            return Err(refuse(
                "an IPv4 network within IPv6 is written as an IPv4 one",
            ));
        }
        let network = Self { address, prefix };
        if !network.contains(address) {
            return Err(refuse("its address has bits beyond its prefix"));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// IPv4 that isn't the public internet: IANA's registry of special purposes, and the address at
/// which a cloud tells its machines their secrets though it looks like any other.
const V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::UNSPECIFIED, 8, "of this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a carrier"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a metadata service"),
    (
        Ipv4Addr::new(169, 254, 0, 0),
        16,
        "link-local, as metadata services are",
    ),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay to IPv6"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// What of `2000::/3` isn't the public internet.
const V6: &[(Ipv6Addr, u8, &str)] = &[
    // Teredo among them, which reaches any IPv4 address.
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        "reserved, or Teredo",
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "for documentation",
    ),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "for documentation",
    ),
];

const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// What an address is, unless it is of the public internet.
pub(crate) fn special(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter()
        .find(|&&(network, prefix, _)| in_v4(address, network, prefix))
        .map(|&(_, _, kind)| kind)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if in_v6(address, NAT64.0, NAT64.1) {
        // The gateway of an IPv6-only network: it goes to the IPv4 address in the last four bytes.
        let [.., a, b, c, d] = address.octets();
        return special_v4(Ipv4Addr::new(a, b, c, d));
    }
    if address.is_loopback() {
        return Some("this machine");
    }
    if address.is_multicast() {
        return Some("multicast");
    }
    if address.is_unicast_link_local() {
        return Some("link-local");
    }
    if address.is_unique_local() {
        return Some("private, as metadata services are");
    }
    if address.segments()[0] & 0xe000 != 0x2000 {
        return Some("not of the public internet");
    }
    if let Some(&(_, _, kind)) = V6
        .iter()
        .find(|&&(network, prefix, _)| in_v6(address, network, prefix))
    {
        return Some(kind);
    }
    // ISATAP, which goes to the IPv4 address in the last four bytes.
    matches!(address.segments(), [.., 0 | 0x200, 0x5efe, _, _]).then_some("ISATAP")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_public_internet_is_open() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
        ] {
            assert_eq!(special(public.parse().unwrap()), None, "{public}");
        }
    }

    #[test]
    fn everything_else_is_closed_in_every_disguise() {
        for closed in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            let v4: Ipv4Addr = closed.parse().unwrap();
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let disguises = [
                IpAddr::V4(v4),
                v4.to_ipv6_mapped().into(),
                // IPv4-compatible, NAT64, NAT64 of a site, 6to4, Teredo, ISATAP.
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low).into(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into(),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low).into(),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1).into(),
                Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 63, !high, !low).into(),
                Ipv6Addr::new(0x2a00, 1, 2, 3, 0, 0x5efe, high, low).into(),
                Ipv6Addr::new(0x2a00, 1, 2, 3, 0x200, 0x5efe, high, low).into(),
            ];
            for disguise in disguises {
                assert!(special(disguise).is_some(), "{disguise}");
            }
        }
        for closed in [
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2001:20::1",
            "2002::1",
            "3fff::1",
            "100::1",
            "64:ff9b:1::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(special(closed.parse().unwrap()).is_some(), "{closed}");
        }
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.255".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.0".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        let network: Network = "fd00:1::/32".parse().unwrap();
        assert!(network.contains("fd00:1:ffff::1".parse().unwrap()));
        assert!(!network.contains("fd00:2::1".parse().unwrap()));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.1.2.3".parse().unwrap()));
        assert_eq!(all.to_string(), "0.0.0.0/0");
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::/129",
            "x/8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "::ffff:10.0.0.0/104",
            "fd00::1/64",
            "10.0.0/8",
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert_eq!(error.code(), "fetch.policy", "{text}");
        }
    }
}
