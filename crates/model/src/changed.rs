//! Lists the names of the fields in which a thing differs from an older state of it, beside the fields themselves, so that none is
//! forgotten.

/// Compares field by field. Every field of the type must be named: behind the bar those that are not reported. So a new field can't be
/// forgotten.
#[macro_export]
macro_rules! changed {
    ($type:ident, $before:expr, $now:expr; $($told:ident $(as $name:literal)?),+ | $($untold:ident),*) => {{
        let $type { $($told: _,)+ $($untold: _,)* } = $before;
        let mut names: Vec<&'static str> = Vec::new();
        $(if $before.$told != $now.$told {
            names.push($crate::changed!(@name $told $($name)?));
        })+
        names
    }};
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
