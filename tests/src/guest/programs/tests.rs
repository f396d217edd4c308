//! The same bounds on this machine's kernel.

use super::*;

#[test]
fn every_program_loads_here_and_leaves_the_verifier_room() {
    for program in PROGRAMS {
        let Verified { instructions, bytes } = program.load().unwrap();
        println!("{}: {instructions} instructions verified, {bytes} bytes", program.name);
        assert!(instructions <= program.most_instructions, "{program:?}: {instructions}");
    }
}

#[test]
fn every_combination_of_features_loads_here() {
    let most = (0..1 << Features::COUNT)
        .map(|features| balancer(Features(features), 0).unwrap().instructions)
        .max()
        .unwrap();
    println!("{most} instructions verified at most");
    assert!(most <= 300_000, "{most}");
}

#[test]
fn names_are_unique() {
    for (number, program) in PROGRAMS.iter().enumerate() {
        assert!(PROGRAMS[..number].iter().all(|other| other.name != program.name), "{program:?}");
    }
}
