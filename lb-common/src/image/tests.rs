//! The host's side of the pipeline's traits.

use std::vec::Vec;

use super::*;
use crate::abi::SLOTS_PER_PAGE;
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
    assert!(image.holds(table, &slots));
    assert_eq!(image.pages.len(), 3);
}

#[test]
fn a_table_that_differs_in_its_last_slot_or_its_length_is_not_held() {
    let slots: Vec<_> = (1..=1_500).map(slot).collect();
    let mut image = Image::default();
    image.put_table(0, &slots);

    let mut other = slots.clone();
    other[1_499] = slot(7);
    assert!(!image.holds(TableRef::new(0, 1_500), &other));
    assert!(!image.holds(TableRef::new(0, 1_499), &slots));
    assert!(!image.holds(TableRef::new(1, 1_500), &slots), "starts a page later");
    assert!(!image.holds(TableRef::new(9, 1_500), &slots), "no such pages");
}

#[test]
fn a_recorder_notes_look_ups_and_forgets_them_when_asked() {
    let mut image = Image::default();
    image.put_table(0, &[slot(3)]);
    let tables = Recorder::new(&image, &PinTable::new(1), Ticks::default());
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
