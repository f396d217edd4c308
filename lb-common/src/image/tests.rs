//! The host's side of the pipeline's traits.

use std::vec::Vec;

use super::*;
use crate::abi::{Pin, SLOTS_PER_PAGE, Ticks};
use crate::frame::Frame;
use crate::hash;
use crate::tables::Pins;
use crate::wire::Ports;

fn slot(index: u16) -> Slot {
    Slot::clean(BackendIndex::new(index).unwrap())
}

#[test]
fn a_table_over_several_pages_is_read_back_in_order() {
    let slots: Vec<_> = (1..=2_053).map(slot).collect();
    let table = TableRef::new(5, 2_053);
    let mut image = Image::default();
    image.put_table(5, &slots);

    assert!(image.table(table).eq(slots.iter().copied()));
    assert!(image.steers_like(table, &slots));
    assert_eq!(image.pages.len(), 3);
}

#[test]
fn a_table_that_differs_in_its_last_slot_or_its_length_steers_otherwise() {
    let slots: Vec<_> = (1..=1_500).map(slot).collect();
    let mut image = Image::default();
    image.put_table(0, &slots);

    let mut other = slots.clone();
    other[1_499] = slot(7);
    assert!(!image.steers_like(TableRef::new(0, 1_500), &other));
    assert!(!image.steers_like(TableRef::new(0, 1_499), &slots));
    assert!(!image.steers_like(TableRef::new(1, 1_500), &slots), "starts a page later");
    assert!(!image.steers_like(TableRef::new(9, 1_500), &slots), "no such pages");
}

#[test]
fn a_slot_in_transition_steers_new_flows_like_a_clean_one() {
    let clean: Vec<_> = (1..=1_500).map(slot).collect();
    let moved: Vec<_> =
        clean.iter().map(|slot| Slot::in_transition(slot.current(), clean[0].current())).collect();
    let mut image = Image::default();
    image.put_table(0, &moved);
    let table = TableRef::new(0, 1_500);
    assert!(image.steers_like(table, &clean));
    assert!(image.steers_like(table, &moved));
    image.put_slot(1, 475, Slot::in_transition(clean[1_498].current(), clean[1_499].current()));
    assert!(!image.steers_like(table, &clean), "slot 1499 goes elsewhere");
}

#[test]
fn one_slot_is_written_in_one_copy_of_the_image_alone() {
    let slots: Vec<_> = (1..=1_500).map(slot).collect();
    let mut image = Image::default();
    image.put_table(3, &slots);
    let before = image.clone();

    image.put_slot(4, 7, slot(9_999));
    image.put_slot(4, 476, slot(9_999));
    image.put_slot(5, 0, slot(9_999));

    let table = TableRef::new(3, 1_500);
    assert!(before.table(table).eq(slots.iter().copied()));
    let changed: Vec<_> = (0..1_500)
        .filter(|number| image.slot(table, *number) != before.slot(table, *number))
        .collect();
    assert_eq!(changed, [1_024 + 7], "places outside the table are not made");
    assert_eq!(image.pages.len(), 2);
}

#[test]
fn a_pin_is_put_in_and_taken_out_only_where_the_expected_one_is() {
    let pin =
        |flow: u64| Pin::new(hash::keyed([1, 2], [flow]), slot(3).current(), Ticks::default());
    let table = PinTable::new(4);
    let bucket = table.bucket(u64::from(u32::MAX)).unwrap();

    assert!(bucket.replace(5, Pin::EMPTY, pin(1)));
    assert!(!bucket.replace(5, Pin::EMPTY, pin(2)), "it is taken");
    assert_eq!(bucket.load(5), pin(1));
    // The largest low half means the last bucket.
    let position = table.iter().position(|found| !found.is_empty());
    assert_eq!(position, Some(3 * 8 + 5));

    assert!(!table.remove(3 * 8 + 5, pin(2)), "another pin");
    assert!(!table.remove(4 * 8, Pin::EMPTY), "no such place");
    assert!(table.remove(3 * 8 + 5, pin(1)));
    assert!(table.iter().all(Pin::is_empty));
}

#[test]
fn a_pin_table_is_read_back_as_it_was_made() {
    let pins: Vec<_> =
        (0..24).map(|flow| Pin::new(flow << 32, slot(1).current(), Ticks::default())).collect();
    assert!(PinTable::from_pins(pins.iter().copied()).iter().eq(pins.iter().copied()));
    assert!(PinTable::new(0).bucket(7).is_none());
}

#[test]
fn a_recorder_notes_look_ups_and_forgets_them_when_asked() {
    let mut image = Image::default();
    image.put_table(0, &[slot(3)]);
    let state = State::new(1);
    let tables = Recorder::new(&image, &state, 0);
    assert_eq!(tables.slot(0, 0), Some(slot(3)));
    assert_eq!(tables.take_lookups().slot, Some((0, 0, slot(3))));
    assert_eq!(tables.take_lookups(), Lookups::default());
    // Like the kernel's array, in which every page exists and unused slots are zero.
    assert_eq!(tables.slot(7, SLOTS_PER_PAGE - 1), Some(Slot::default()));
}

#[test]
fn a_buffer_hands_out_headers_only_inside_the_frame() {
    let mut buffer = Buffer::new(&[0, 80, 1, 187, 9], 2);
    assert_eq!(buffer.len(), 5);
    assert_eq!(buffer.header::<Ports>(0).unwrap().destination.get(), 443);
    assert_eq!(buffer.header::<Ports>(1).unwrap().source.get(), 80 << 8 | 1);
    assert!(buffer.header::<Ports>(2).is_none());
    assert!(buffer.header::<Ports>(usize::MAX).is_none());
    assert!(buffer.header_mut::<Ports>(6).is_none());
}

#[test]
fn a_buffers_end_comes_nearer_and_never_goes() {
    let mut buffer = Buffer::new(&[1, 2, 3], 2);
    assert_eq!(buffer.truncate(4), None);
    buffer.truncate(2).unwrap();
    assert_eq!(buffer.as_slice(), [1, 2]);
    buffer.push_front(1).unwrap();
    buffer.truncate(2).unwrap();
    assert_eq!(buffer.as_slice(), [Buffer::POISON, 1]);
}

#[test]
fn a_buffers_front_moves_within_its_room() {
    let mut buffer = Buffer::new(&[1, 2, 3], 2);
    assert_eq!(buffer.push_front(3), None);
    assert_eq!(buffer.as_slice(), [1, 2, 3], "a refused move changes nothing");
    buffer.push_front(2).unwrap();
    assert_eq!(buffer.as_slice(), [Buffer::POISON, Buffer::POISON, 1, 2, 3]);
    buffer.pull_front(4).unwrap();
    assert_eq!(buffer.as_slice(), [3]);
    assert_eq!(buffer.pull_front(2), None);
    buffer.pull_front(1).unwrap();
    assert!(buffer.is_empty());
}
