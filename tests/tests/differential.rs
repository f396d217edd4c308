//! The same frames through the pipeline on the host and through the program in the kernel.
//!
//! They are one function compiled twice, so any difference is a defect of an adapter, of a
//! compiler, or of a map. The comparison itself is tested too: a change of one byte must show.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use lb_agent::io::clock;
use lb_agent::io::origin::Origin;
use lb_common::abi::{PinState, Slot, Ticks};
use lb_common::image::Image;
use lb_common::verdict::{OriginReason, Reason, Verdict};
use lb_tests::fixture::kernel::Kernel;
use lb_tests::fixture::{self, HASH_SEED, Host, catalogue, generate, moving, origin, standard};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Frames of one run.
const FRAMES: u64 = 120_000;
/// Frames that must find a seeded change.
const FRAMES_FOR_A_MUTANT: u64 = 5_000;

/// Frames between two looks at the pin tables.
const FRAMES_PER_LOOK: u64 = 64;
/// Places of the pin tables that are emptied at each look, as a sweep would, so that the tables
/// never stay full.
const SWEPT_PER_LOOK: usize = 6;

/// A balancer in the kernel and one on the host, which see the same frames.
struct Pair<'k> {
    kernel: &'k Kernel,
    host: Host,
    /// How often each reason came up.
    reasons: BTreeMap<Reason, u64>,
    /// Frames during which the clock went on, so that their pins may bear either time.
    unclear: u64,
}

impl<'k> Pair<'k> {
    fn new(kernel: &'k Kernel, image: &Image, seed: [u64; 2]) -> Self {
        let host = Host::new(image.clone(), seed);
        Self { kernel, host, reasons: BTreeMap::new(), unclear: 0 }
    }

    /// Runs `frames` frames both ways; the first difference, if there is one.
    fn compare(&mut self, rng: &mut Rng, frames: u64) -> Result<(), String> {
        for number in 0..frames {
            self.compare_frame(&generate::frame(rng))
                .map_err(|difference| format!("frame {number}\n{difference}"))?;
            if number % FRAMES_PER_LOOK == 0 {
                self.compare_pins()?;
                self.sweep(rng);
            }
        }
        self.compare_pins()
    }

    fn compare_frame(&mut self, frame: &[u8]) -> Result<(), String> {
        let before_ns = clock::monotonic_ns();
        let (verdict, in_the_kernel) = self.kernel.run(frame).map_err(|error| error.to_string())?;
        let after_ns = clock::monotonic_ns();
        let (reason, on_the_host) = self.host.run(frame, after_ns);
        if Ticks::at(before_ns) != Ticks::at(after_ns) {
            self.unclear += 1;
            self.host.replace_pins(self.kernel.datapath().maps.pins());
        }
        if verdict != Some(reason.verdict()) || on_the_host != in_the_kernel {
            return Err(format!(
                "  {frame:02x?}\nhost: {reason:?}\n  {on_the_host:02x?}\nkernel: {verdict:?}\n  {in_the_kernel:02x?}"
            ));
        }
        *self.reasons.entry(reason).or_default() += 1;
        Ok(())
    }

    /// The same flows, on the same backends, seen at the same times, in the same places.
    fn compare_pins(&self) -> Result<(), String> {
        let in_the_kernel = self.kernel.datapath().maps.pins();
        let mut pairs = self.host.state.pins.iter().zip(in_the_kernel).enumerate();
        match pairs.find(|(_, (host, kernel))| host != kernel) {
            None => Ok(()),
            Some((place, (host, kernel))) => {
                Err(format!("place {place}\nhost: {host:?}\nkernel: {kernel:?}"))
            }
        }
    }

    fn sweep(&self, rng: &mut Rng) {
        let pins: Vec<_> = self.host.state.pins.iter().collect();
        for _ in 0..SWEPT_PER_LOOK {
            let place = rng.usize(..pins.len());
            let pin = pins.get(place).copied().unwrap_or_default();
            let on_the_host = self.host.state.pins.remove(place, pin);
            assert_eq!(self.kernel.datapath().maps.remove_pin(place, pin), on_the_host);
        }
    }
}

/// Whether two balancers agree on every frame: the reasons, or the first difference.
fn compare(
    kernel: &Kernel,
    image: &Image,
    seed: [u64; 2],
    frames: u64,
) -> Result<BTreeMap<Reason, u64>, String> {
    let mut pair = Pair::new(kernel, image, seed);
    pair.compare(&mut Rng::with_seed(7), frames)?;
    assert!(pair.unclear * 100 < frames, "the clock went on during {} frames", pair.unclear);
    let host = pair.host.pin_events;
    let counted = kernel.pin_events().map_err(|error| error.to_string())?;
    if counted != host {
        return Err(format!("host: {host:?}, kernel: {counted:?}"));
    }
    Ok(pair.reasons)
}

/// Compares all frames, and sees that every reason came up and was counted.
fn compare_all(kernel: &Kernel, image: &Image) -> Result<(), String> {
    let reasons = compare(kernel, image, HASH_SEED, FRAMES)?;
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::NoHeadroom) {
        let seen = reasons.get(reason).copied().unwrap_or(0);
        assert!(seen >= 100, "{reason:?} came up {seen} times: {reasons:?}");
        let counted = kernel.counted(*reason).map_err(|error| error.to_string())?;
        assert_eq!(counted.packets, seen, "counter of {reason:?}");
    }
    let forwarded = reasons.get(&Reason::Forwarded).copied().unwrap_or(0);
    assert!(forwarded > FRAMES / 4, "{reasons:?}");
    Ok(())
}

#[test]
fn host_and_kernel_agree_on_every_frame() {
    let kernel = Kernel::load(&standard()).unwrap();
    compare_all(&kernel, &standard()).unwrap_or_else(|found| panic!("{found}"));
}

#[test]
fn host_and_kernel_agree_on_every_frame_and_pin_while_a_third_of_the_slots_move() {
    let kernel = Kernel::load(&moving()).unwrap();
    compare_all(&kernel, &moving()).unwrap_or_else(|found| panic!("{found}"));
    let pins: Vec<_> = kernel.datapath().maps.pins().filter(|pin| !pin.is_empty()).collect();
    let embryonic = pins.iter().filter(|pin| pin.state() == PinState::Embryonic).count();
    let udp = pins.iter().filter(|pin| pin.state() == PinState::Udp).count();
    let backends: BTreeSet<_> = pins.iter().map(|pin| pin.backend()).collect();
    println!("{} pins, {embryonic} embryonic, {udp} of UDP, {backends:?}", pins.len());
    assert!(pins.len() > 300 && embryonic > 50 && udp > 50 && backends.len() >= 8);
    let [evicted, full] = kernel.pin_events().unwrap();
    assert!(evicted > 1_000 && full > 1_000, "{evicted} evicted, {full} without room");
}

#[test]
fn a_change_of_one_pin_is_found() {
    let kernel = Kernel::load(&moving()).unwrap();
    let mut pair = Pair::new(&kernel, &moving(), HASH_SEED);
    let mut rng = Rng::with_seed(7);
    pair.compare(&mut rng, FRAMES_FOR_A_MUTANT).unwrap();
    let mut pins: Vec<_> = pair.host.state.pins.iter().collect();
    let pin = pins.iter_mut().find(|pin| !pin.is_empty()).unwrap();
    // The lowest bit of the backend's number.
    pin.0 ^= 1 << 15;
    pair.host.replace_pins(pins.into_iter());
    pair.compare(&mut rng, 1).unwrap_err();
}

/// What a pin is for: where its flow's packets go. The tables are not looked at here.
#[test]
fn a_change_of_one_pin_moves_its_flow() {
    let fixture = catalogue().into_iter().find(|each| each.name == "a_pin_to_the_new_backend_wins");
    let fixture = fixture.unwrap();
    let mut mutant = fixture.clone();
    mutant.pins[0].0 ^= 1 << 15;
    let kernel = Kernel::load(&fixture.maps).unwrap();
    let (_, sent, _) = kernel.run_fixture(&fixture).unwrap();
    let (_, elsewhere, _) = kernel.run_fixture(&mutant).unwrap();
    assert_eq!(sent, fixture.on_the_host().1);
    assert_eq!(elsewhere, mutant.on_the_host().1);
    assert_ne!(sent, elsewhere);
}

#[test]
fn a_change_of_one_slots_previous_backend_is_found() {
    let kernel = Kernel::load(&moving()).unwrap();
    let mut mutant = moving();
    // The first slot in transition of the pool that most frames are for.
    let table = mutant.pools[&1].table;
    let find = |slot: &Slot| slot.consult() && slot.current() != slot.previous();
    let offset = mutant.table(table).position(|slot| find(&slot)).unwrap();
    let slot = mutant.slot(table, u32::try_from(offset).unwrap());
    let swapped = Slot::in_transition(slot.previous(), slot.current());
    mutant.put_slot(table.first_page(), u32::try_from(offset).unwrap(), swapped);
    compare(&kernel, &mutant, HASH_SEED, FRAMES_FOR_A_MUTANT).unwrap_err();
}

#[test]
fn a_change_of_one_byte_in_a_backend_is_found() {
    let kernel = Kernel::load(&standard()).unwrap();
    let mut mutant = standard();
    let backend = mutant.backends.values_mut().next().unwrap();
    backend.next_hop_mac[5] ^= 1;
    compare(&kernel, &mutant, HASH_SEED, FRAMES_FOR_A_MUTANT).unwrap_err();
}

#[test]
fn a_change_of_one_bit_in_the_seed_is_found() {
    let image = standard();
    let kernel = Kernel::load(&image).unwrap();
    compare(&kernel, &image, [HASH_SEED[0] ^ 1, HASH_SEED[1]], FRAMES_FOR_A_MUTANT).unwrap_err();
}

#[test]
fn a_missing_service_is_found() {
    let kernel = Kernel::load(&standard()).unwrap();
    let mut mutant = standard();
    mutant.services.pop_last();
    compare(&kernel, &mutant, HASH_SEED, FRAMES_FOR_A_MUTANT).unwrap_err();
}

#[test]
fn host_and_kernel_agree_at_the_origin() {
    let program = Origin::load(&origin::SOURCES, &origin::VIPS).unwrap();
    let catalogue = origin::catalogue();
    let mut rng = Rng::with_seed(11);
    let mut reasons = BTreeMap::new();
    for number in 0..FRAMES {
        let frame = origin::generate(&mut rng, &catalogue);
        let (reason, on_the_host) = origin::on_the_host(&frame);
        let (action, in_the_kernel) = program.test_run(&frame).unwrap();
        let wanted = if reason.verdict() == Verdict::Drop { 1 } else { 2 };
        assert_eq!(action, wanted, "frame {number}, {reason:?}: {frame:02x?}");
        assert_eq!(on_the_host, in_the_kernel, "frame {number}, {reason:?}: {frame:02x?}");
        *reasons.entry(reason).or_insert(0_u64) += 1;
    }
    for reason in OriginReason::ALL {
        let seen = reasons.get(reason).copied().unwrap_or(0);
        assert!(seen >= 100, "{reason:?} came up {seen} times: {reasons:?}");
    }
}

/// Any bytes; most of them behind a type, and a first byte, that lead into the parser. A test-run
/// takes no frame shorter than an Ethernet header, and neither does a NIC.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |length| prop::collection::vec(any::<u8>(), length);
    let into_the_parser = (
        bytes(12..=12),
        prop::collection::vec(prop::sample::select(vec![0x8100_u16, 0x88a8]), 0..=2),
        prop::sample::select(vec![0x0800_u16, 0x86dd]),
        prop::sample::select(vec![0x45_u8, 0x46, 0x4f, 0x44, 0x60, 0x6f]),
        bytes(0..=120),
        prop::sample::select(vec![1_u8, 4, 6, 17, 41, 43, 44, 51, 60]),
    )
        .prop_map(|(mut frame, tags, ethertype, first, mut rest, protocol)| {
            for tag in tags {
                frame.extend(tag.to_be_bytes());
                frame.extend([0, 7]);
            }
            frame.extend(ethertype.to_be_bytes());
            // Where the protocol stands, in the packet without its first byte.
            let place = if ethertype == 0x0800 { 8 } else { 5 };
            if let Some(byte) = rest.get_mut(place) {
                *byte = protocol;
            }
            frame.push(first);
            frame.extend(rest);
            frame
        });
    prop_oneof![1 => bytes(14..=300), 9 => into_the_parser]
}

/// Runs `check` on 20,000 hostile frames, and sees that each of `reasons` came up.
fn on_hostile_frames<R: Ord + Copy + std::fmt::Debug>(
    reasons: &[R],
    check: impl Fn(&[u8]) -> Result<R, TestCaseError>,
) {
    let seen = RefCell::new(BTreeMap::<R, u32>::new());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(20_000));
    let run = runner.run(&hostile(), |frame| {
        let reason = check(&frame)?;
        *seen.borrow_mut().entry(reason).or_default() += 1;
        Ok(())
    });
    assert!(run.is_ok(), "{run:?}");
    let seen = seen.into_inner();
    for reason in reasons {
        assert!(seen.get(reason).is_some_and(|count| *count >= 50), "{reason:?}: {seen:?}");
    }
}

/// What bytes that know no service can come to.
const WITHOUT_SERVICE: [Reason; 4] =
    [Reason::NotIp, Reason::Malformed, Reason::OtherProtocol, Reason::NoService];
/// What bytes that know no balancer can come to.
const WITHOUT_BALANCER: [OriginReason; 3] =
    [OriginReason::NotTunnelled, OriginReason::UnknownSource, OriginReason::FragmentedTunnel];

#[test]
fn any_bytes_end_somewhere_on_the_host() {
    let image = standard();
    on_hostile_frames(&WITHOUT_SERVICE, |frame| {
        let (reason, out) = fixture::on_the_host(&image, HASH_SEED, frame);
        prop_assert!(reason.verdict() == Verdict::Tx || out == frame);
        Ok(reason)
    });
    on_hostile_frames(&WITHOUT_BALANCER, |frame| {
        let (reason, out) = origin::on_the_host(frame);
        prop_assert!(reason == OriginReason::Decapsulated || out == frame);
        Ok(reason)
    });
}

#[test]
fn any_bytes_end_in_the_kernel_as_they_do_on_the_host() {
    let image = standard();
    let kernel = Kernel::load(&image).unwrap();
    on_hostile_frames(&WITHOUT_SERVICE, |frame| {
        let (reason, on_the_host) = fixture::on_the_host(&image, HASH_SEED, frame);
        let (verdict, in_the_kernel) = kernel.run(frame).unwrap();
        prop_assert_eq!((verdict, in_the_kernel), (Some(reason.verdict()), on_the_host));
        Ok(reason)
    });
    let program = Origin::load(&origin::SOURCES, &origin::VIPS).unwrap();
    on_hostile_frames(&WITHOUT_BALANCER, |frame| {
        let (reason, on_the_host) = origin::on_the_host(frame);
        let (action, in_the_kernel) = program.test_run(frame).unwrap();
        let wanted = if reason.verdict() == Verdict::Drop { 1 } else { 2 };
        prop_assert_eq!((action, in_the_kernel), (wanted, on_the_host));
        Ok(reason)
    });
}
