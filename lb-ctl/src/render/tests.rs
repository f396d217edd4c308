//! Claims about output, by exact text.

mod answers;
mod objects;

use lb_common::api::{Item, List};

fn item<T>(item: T) -> Item<T> {
    Item { api_version: "lb/v1".to_owned(), kind: "Kind".to_owned(), generation: 7, item }
}

fn list<T>(items: Vec<T>) -> List<T> {
    List { api_version: "lb/v1".to_owned(), kind: "KindList".to_owned(), generation: 7, items }
}
