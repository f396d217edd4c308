//! The same frames through the pipeline on the host and through the program in the kernel.
//!
//! They are one function compiled twice, so any difference is a defect of an adapter, of a
//! compiler, or of a map. The comparison itself is tested too: a change of one byte must show.

use std::collections::BTreeMap;

use fastrand::Rng;
use lb_agent::io::origin::Origin;
use lb_common::image::Image;
use lb_common::verdict::{OriginReason, Reason, Verdict};
use lb_tests::fixture::kernel::Kernel;
use lb_tests::fixture::{self, HASH_SEED, generate, origin, standard};
use proptest::prelude::*;

/// Frames of one run.
const FRAMES: u64 = 120_000;
/// Frames that must find a seeded change.
const FRAMES_FOR_A_MUTANT: u64 = 5_000;

/// Runs `frames` frames both ways; how often each reason came up, or the first difference.
fn compare(
    kernel: &Kernel,
    image: &Image,
    seed: [u64; 2],
    frames: u64,
) -> Result<BTreeMap<Reason, u64>, String> {
    let mut rng = Rng::with_seed(7);
    let mut reasons = BTreeMap::new();
    for number in 0..frames {
        let frame = generate::frame(&mut rng);
        let (reason, on_the_host) = fixture::on_the_host(image, seed, &frame);
        let (verdict, in_the_kernel) = kernel.run(&frame).map_err(|error| error.to_string())?;
        if verdict != Some(reason.verdict()) || on_the_host != in_the_kernel {
            return Err(format!(
                "frame {number}\n  {frame:02x?}\nhost: {reason:?}\n  {on_the_host:02x?}\nkernel: {verdict:?}\n  {in_the_kernel:02x?}"
            ));
        }
        *reasons.entry(reason).or_default() += 1;
    }
    Ok(reasons)
}

#[test]
fn host_and_kernel_agree_on_every_frame() {
    let image = standard();
    let kernel = Kernel::load(&image).unwrap();
    let reasons =
        compare(&kernel, &image, HASH_SEED, FRAMES).unwrap_or_else(|found| panic!("{found}"));
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::NoHeadroom) {
        let seen = reasons.get(reason).copied().unwrap_or(0);
        assert!(seen >= 100, "{reason:?} came up {seen} times: {reasons:?}");
        assert_eq!(kernel.counted(*reason).unwrap().packets, seen, "counter of {reason:?}");
    }
    assert!(reasons[&Reason::Forwarded] > FRAMES / 4, "{reasons:?}");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_bytes_end_somewhere_on_the_host(frame in prop::collection::vec(any::<u8>(), 0..300)) {
        let (reason, out) = fixture::on_the_host(standard_once(), HASH_SEED, &frame);
        prop_assert!(reason.verdict() == Verdict::Tx || out == frame);
        let (reason, out) = origin::on_the_host(&frame);
        prop_assert!(reason == OriginReason::Decapsulated || out == frame);
    }
}

/// The image is dear to build, and every case wants it.
fn standard_once() -> &'static Image {
    static IMAGE: std::sync::OnceLock<Image> = std::sync::OnceLock::new();
    IMAGE.get_or_init(standard)
}

#[test]
fn any_bytes_end_somewhere_in_the_kernel() {
    let kernel = Kernel::load(&standard()).unwrap();
    let program = Origin::load(&origin::SOURCES, &origin::VIPS).unwrap();
    let mut rng = Rng::with_seed(13);
    for _ in 0..20_000 {
        // A test-run takes no frame shorter than an Ethernet header, and neither does a NIC.
        let length = rng.usize(14..300);
        let frame: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
        let (verdict, out) = kernel.run(&frame).unwrap();
        assert!(verdict == Some(Verdict::Tx) || verdict.is_some() && out == frame, "{frame:02x?}");
        let (action, _) = program.test_run(&frame).unwrap();
        assert!(action == 1 || action == 2, "{action} for {frame:02x?}");
    }
}
