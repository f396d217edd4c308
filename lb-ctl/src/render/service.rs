//! `service list` and `service show`.

use lb_common::api::{Item, List, Service};

use super::View;
use super::number::{bytes, count};
use super::table::{Cell, Palette, Table, Tone, facts};
use crate::error::plural;

impl View for List<Service> {
    fn text(&self, wide: bool, palette: Palette) -> String {
        table(&self.items, wide, palette)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(name).collect()
    }
}

impl View for Item<Service> {
    fn text(&self, wide: bool, palette: Palette) -> String {
        if wide {
            return table(std::slice::from_ref(&self.item), true, palette);
        }
        let service = &self.item;
        facts(&[
            ("Name", service.name.clone()),
            ("VIP", service.vip.to_string()),
            ("Protocol", service.protocol.clone()),
            ("Ports", ports(&service.ports)),
            ("Pool", service.pool.clone()),
            (
                "Backends",
                format!("{} of {} take new flows", service.backends_active, service.backends_total),
            ),
            (
                "Forwarded",
                format!(
                    "{} packet{}, {}",
                    count(service.traffic.packets),
                    plural(usize::try_from(service.traffic.packets).unwrap_or(usize::MAX)),
                    bytes(service.traffic.bytes)
                ),
            ),
        ])
    }

    fn names(&self) -> Vec<String> {
        vec![name(&self.item)]
    }
}

fn name(service: &Service) -> String {
    format!("service/{}", service.name)
}

fn table(services: &[Service], wide: bool, palette: Palette) -> String {
    if services.is_empty() {
        return String::new();
    }
    let mut header = vec!["NAME", "VIP", "PROTOCOL", "PORTS", "POOL", "BACKENDS", "PACKETS"];
    if wide {
        header.push("BYTES");
    }
    let mut table = Table::new(&header);
    for service in services {
        let tone = if service.backends_active == 0 { Tone::Bad } else { Tone::Plain };
        let backends = format!("{}/{}", service.backends_active, service.backends_total);
        let mut row = vec![
            service.name.as_str().into(),
            service.vip.to_string().into(),
            service.protocol.as_str().into(),
            ports(&service.ports).into(),
            service.pool.as_str().into(),
            Cell::toned(backends, tone),
            count(service.traffic.packets).into(),
        ];
        if wide {
            row.push(bytes(service.traffic.bytes).into());
        }
        table.row(row);
    }
    table.text(palette)
}

fn ports(ports: &[u16]) -> String {
    if ports == [0] {
        return "any".to_owned();
    }
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}
