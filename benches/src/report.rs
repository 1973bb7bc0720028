//! Shows the figures as a table for people and writes them as JSON for the next comparison.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

/// Writes `benches/results/NAME-CPU.json` with the figures and the machine on which they were taken.
pub(crate) fn write(name: &str, figures: &Value) -> anyhow::Result<()> {
    let cpu = cpu_model();
    let slug: String = cpu
        .to_lowercase()
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/results"));
    fs::create_dir_all(folder).context("the folder for results can't be made")?;
    let file = format!("{name}-{slug}.json");
    let machine = json!({
        "cpu": cpu,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "load_average_at_end": fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next(),
    });
    let document = json!({ "bench": name, "machine": machine, "figures": figures });
    fs::write(folder.join(&file), format!("{document:#}\n")).context("the results can't be written")?;
    println!("\nbenches/results/{file}\n");
    Ok(())
}

/// Prints columns that are as wide as their longest cell. The first is aligned left, the others right.
pub(crate) fn print_table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    println!("\n{title}");
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let align = |(column, cell): (usize, &str)| {
            let width = width(column);
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        println!("  {}", cells.enumerate().map(align).collect::<Vec<_>>().join("  "));
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// The median; 0 if there are no values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

fn cpu_model() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
