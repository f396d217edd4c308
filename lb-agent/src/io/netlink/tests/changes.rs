//! Which notifications are changes, and that none of these is lost.

use std::time::Duration;

use futures::FutureExt;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::RouteMessage;
use rtnetlink::packet_core::NetlinkPayload;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, sleep, timeout};

use super::super::changes::Filter;
use super::super::{Changed, Changes};
use super::{MAC, link_message, neighbour_message};

const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 8];

/// Feeds the messages to a new filter, and compares what it says of each.
fn assert_changes(messages: Vec<(RouteNetlinkMessage, bool, &str)>) {
    let mut filter = Filter::default();
    for (message, expected, what) in messages {
        let change = filter.change_of(&NetlinkPayload::InnerMessage(message));
        assert_eq!(change.is_some(), expected, "{what}");
    }
}

#[test]
fn only_a_neighbour_whose_usable_mac_differs_is_a_change() {
    let now = |state, mac| RouteNetlinkMessage::NewNeighbour(neighbour_message(state, mac));
    let gone = || RouteNetlinkMessage::DelNeighbour(neighbour_message(NeighbourState::None, None));
    assert_changes(vec![
        (now(NeighbourState::Reachable, Some(MAC)), true, "never heard of before"),
        (now(NeighbourState::Stale, Some(MAC)), false, "grew old"),
        (now(NeighbourState::Reachable, Some(MAC)), false, "was verified"),
        (now(NeighbourState::Reachable, Some(OTHER_MAC)), true, "moved"),
        (now(NeighbourState::Failed, None), true, "went silent"),
        (now(NeighbourState::Failed, None), false, "is still silent"),
        (gone(), false, "forgotten while it was silent"),
        (gone(), true, "forgotten, and never heard of before"),
        (now(NeighbourState::Failed, None), true, "never heard of before, and silent"),
        (now(NeighbourState::Reachable, Some(MAC)), true, "answers"),
        (gone(), true, "forgotten while it was usable"),
    ]);
}

#[test]
fn only_a_link_that_differs_is_a_change() {
    let now = |flags| RouteNetlinkMessage::NewLink(link_message(flags));
    let up = LinkFlags::Up | LinkFlags::LowerUp;
    assert_changes(vec![
        (now(LinkFlags::Up), true, "never heard of before"),
        (now(LinkFlags::Up | LinkFlags::Promisc), false, "another flag"),
        (now(up), true, "has a carrier"),
        (RouteNetlinkMessage::DelLink(link_message(up)), true, "gone"),
        (now(up), true, "back"),
    ]);
}

#[test]
fn every_route_is_a_change() {
    assert_changes(vec![
        (RouteNetlinkMessage::NewRoute(RouteMessage::default()), true, "new"),
        (RouteNetlinkMessage::NewRoute(RouteMessage::default()), true, "replaced"),
        (RouteNetlinkMessage::DelRoute(RouteMessage::default()), true, "gone"),
    ]);
}

#[test]
fn an_overrun_is_a_change_and_forgets_what_may_be_outdated() {
    let mut filter = Filter::default();
    let up =
        || NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link_message(LinkFlags::Up)));
    assert_eq!(filter.change_of(&up()), Some(Changed::Routes));
    assert_eq!(filter.change_of(&up()), None);
    assert_eq!(filter.change_of(&NetlinkPayload::Overrun(Vec::new())), Some(Changed::Routes));
    assert_eq!(filter.change_of(&up()), Some(Changed::Routes));
}

#[test]
fn a_neighbour_leaves_the_routes_as_they_are() {
    let mut filter = Filter::default();
    let message = neighbour_message(NeighbourState::Reachable, Some(MAC));
    let message = RouteNetlinkMessage::NewNeighbour(message);
    let change = filter.change_of(&NetlinkPayload::InnerMessage(message));
    assert_eq!(change, Some(Changed::Neighbours));
    let message = RouteNetlinkMessage::DelRoute(RouteMessage::default());
    let change = filter.change_of(&NetlinkPayload::InnerMessage(message));
    assert_eq!(change, Some(Changed::Routes));
}

#[tokio::test]
async fn a_change_survives_a_cancelled_wait() {
    let (notify, receiver) = mpsc::channel(1);
    let mut changes = Changes::of(receiver);
    notify.try_send(()).unwrap();
    assert_eq!(changes.next().now_or_never(), None, "the burst is still being collected");
    assert_eq!(
        timeout(Duration::from_secs(9), changes.next()).await,
        Ok(Some(Changed::Neighbours))
    );
    drop(notify);
    assert_eq!(changes.next().await, None);
}

#[tokio::test]
async fn a_storm_of_changes_is_reported_now_and_then() {
    let (notify, receiver) = mpsc::channel(1);
    let mut changes = Changes::of(receiver);
    let started = Instant::now();
    let storm = tokio::spawn(async move {
        for _ in 0..300 {
            // Full means that a change is waiting already; it cannot be closed.
            assert_ne!(notify.try_send(()), Err(TrySendError::Closed(())));
            sleep(Duration::from_millis(1)).await;
        }
    });
    let mut reports: u128 = 0;
    while changes.next().await.is_some() {
        reports += 1;
    }
    storm.await.unwrap();
    let allowed = 2 + started.elapsed().as_millis() / 50;
    assert!((1..=allowed).contains(&reports), "{reports} reports, {allowed} allowed");
}
