//! IANA's registries of protocols and ports, as tables that are compiled in.

use std::collections::HashMap;
use std::sync::OnceLock;

const PROTOCOLS: &str = include_str!("../../../../schemas/registries/protocols.tsv");
const SERVICES: &str = include_str!("../../../../schemas/registries/services.tsv");

/// Protocols that have ports, in the order of the columns of the table.
const WITH_PORTS: [u8; 4] = [6, 17, 132, 33];

/// The rows of a table: its lines but comments, cut at tabs.
pub(super) fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

/// IANA's name of an IP protocol.
pub fn protocol_name(protocol: u8) -> Option<&'static str> {
    static NAMES: OnceLock<[Option<&'static str>; 256]> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let mut names = [None; 256];
        for row in rows(PROTOCOLS) {
            names[row[0].parse::<usize>().expect("a test reads the table")] = Some(row[1]);
        }
        names
    });
    names[usize::from(protocol)]
}

/// Names of services, by protocol and port.
#[derive(Debug)]
pub struct Services {
    /// Distinct names; the first is of no service.
    names: Vec<&'static str>,
    /// Of no protocol, then of each that has ports: the place of each port's name.
    ports: Vec<Box<[u16]>>,
}

impl Services {
    /// Those of IANA's registry.
    pub fn builtin() -> &'static Self {
        static SERVICES: OnceLock<Services> = OnceLock::new();
        SERVICES.get_or_init(Self::read)
    }

    fn read() -> Self {
        let none = || vec![0; 1 << 16].into_boxed_slice();
        let mut ports: Vec<Box<[u16]>> = (0..=WITH_PORTS.len()).map(|_| none()).collect();
        let (mut names, mut places) = (vec![""], HashMap::new());
        for row in rows(SERVICES) {
            let port: usize = row[0].parse().expect("a test reads the table");
            for (names_of, name) in ports[1..].iter_mut().zip(&row[1..]).filter(|(_, name)| **name != "-") {
                let place = *places.entry(*name).or_insert_with(|| {
                    names.push(*name);
                    u16::try_from(names.len() - 1).expect("there are fewer names than ports")
                });
                names_of[port] = place;
            }
        }
        Self { names, ports }
    }

    /// All names; the one at 0 is of no service.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The place among [`Self::names`] of each port of `protocol`: 65,536 of them.
    pub fn of_protocol(&self, protocol: u8) -> &[u16] {
        &self.ports[WITH_PORTS.iter().position(|p| *p == protocol).map_or(0, |place| place + 1)]
    }

    /// What a port is registered for.
    pub fn name(&self, protocol: u8, port: u16) -> Option<&'static str> {
        let place = self.of_protocol(protocol)[usize::from(port)];
        (place != 0).then(|| self.names[usize::from(place)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols() {
        for (number, name) in
            [(0, "HOPOPT"), (1, "ICMP"), (6, "TCP"), (17, "UDP"), (47, "GRE"), (50, "ESP"), (58, "IPv6-ICMP")]
        {
            assert_eq!(protocol_name(number), Some(name));
        }
        for number in [61, 99, 147, 252, 253, 255] {
            assert_eq!(protocol_name(number), None, "{number}");
        }
    }

    #[test]
    fn services() {
        let services = Services::builtin();
        for (protocol, port, name) in [
            (6, 22, Some("ssh")),
            (6, 80, Some("http")),
            (17, 53, Some("domain")),
            (17, 443, Some("https")),
            (6, 3389, Some("ms-wbt-server")),
            (6, 5001, Some("commplex-link")),
            (132, 9, Some("discard")),
            (6, 0, None),
            (6, 20641, None),
            (1, 22, None),
            (47, 80, None),
        ] {
            assert_eq!(services.name(protocol, port), name, "{protocol} {port}");
        }
        assert!(services.names().iter().skip(1).all(|name| !name.is_empty() && name.is_ascii()));
    }
}
