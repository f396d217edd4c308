//! The table of RFC 6040, figure 4.

use super::*;

#[test]
fn marks_combine_as_in_the_table() {
    let (not, ect0, ect1, ce) = (0b00, 0b10, 0b01, 0b11);
    let table = [
        (not, [Some(not), Some(not), Some(not), None]),
        (ect0, [Some(ect0), Some(ect0), Some(ect1), Some(ce)]),
        (ect1, [Some(ect1), Some(ect1), Some(ect1), Some(ce)]),
        (ce, [Some(ce), Some(ce), Some(ce), Some(ce)]),
    ];
    for (inner, row) in table {
        for (outer, wanted) in [not, ect0, ect1, ce].into_iter().zip(row) {
            assert_eq!(combined(inner, outer), wanted, "inner {inner:02b}, outer {outer:02b}");
            let with_dscp = combined(0b1011_1000 | inner, 0b0010_0000 | outer);
            let wanted = wanted.map(|mark| 0b1011_1000 | mark);
            assert_eq!(with_dscp, wanted, "the inner DSCP stays");
        }
    }
}
